//! The closed registry of rejects: every reason for which a peer's bytes are refused.
//!
//! One kebab-case name has six homes: the row in `spec/registry.md`, the variant here, the
//! metric label, the log field, the RFC 9457 problem type and the vector's `error`.
//! A reject is never a reason to stop: it is counted, shown and, where the table says so, reported.
//! Refuses to carry free text: what a peer sent never becomes part of a reject.

//= spec/postern.md#rejects
//# A number of a reject MUST NOT be used again for another.
macro_rules! rejects {
    ($( $variant:ident = $code:literal $name:literal $sentence:literal ; )*) => {
        //= spec/postern.md#rejects
        //# A reject MUST NOT carry text that a peer sent.
        /// A numbered refusal of something a peer sent (spec: #rejects).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Reject { $( #[doc = $sentence] $variant, )* }

        impl Reject {
            /// Every reject, ascending by code.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];

            /// The number on the wire, 1..=65535, never reused.
            #[must_use]
            pub const fn code(self) -> u16 { match self { $( Self::$variant => $code, )* } }

            /// The one name, kebab-case.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $( Self::$variant => $name, )* } }

            /// What it means, one sentence for people.
            #[must_use]
            pub const fn sentence(self) -> &'static str { match self { $( Self::$variant => $sentence, )* } }
        }
    };
}

rejects! {
    CborTruncated = 1 "cbor-truncated" "the input ends inside an item";
    CborTrailing = 2 "cbor-trailing" "bytes follow the item";
    CborNotShortest = 3 "cbor-not-shortest" "an integer or length is not in its shortest form";
    CborIndefinite = 4 "cbor-indefinite" "an indefinite length is used";
    CborDuplicateKey = 5 "cbor-duplicate-key" "a map holds the same key twice";
    CborUnsortedKey = 6 "cbor-unsorted-key" "map keys are not ascending by their encoding";
    CborTag = 7 "cbor-tag" "a tag is used where none is allowed";
    CborSimple = 8 "cbor-simple" "a simple value other than false, true and null is used";
    CborFloat = 9 "cbor-float" "a float is NaN, infinite or not in its shortest form";
    CborUtf8 = 10 "cbor-utf8" "text is not valid UTF-8";
    CborDepth = 11 "cbor-depth" "arrays and maps nest deeper than 8";
    CborReserved = 12 "cbor-reserved" "reserved additional information is used";
    CborIntegerRange = 13 "cbor-integer-range" "a negative integer is below -2^63";
    CborMapKey = 14 "cbor-map-key" "a map key is neither integer, text nor bytes";
    Oversize = 15 "oversize" "the input is larger than its limit";
    Shape = 16 "shape" "well-formed CBOR of the wrong type or length for its place";

    UnprotectedNotEmpty = 20 "unprotected-not-empty" "the unprotected header holds something";
    CritUnknown = 21 "crit-unknown" "the crit header names an extension, and none is defined";
    HeaderLabelUnknown = 22 "header-label-unknown" "the protected header holds an unknown label";
    AlgorithmUnknown = 23 "algorithm-unknown" "the algorithm is neither Ed25519 (-19) nor ESP256 (-9)";
    KindUnknown = 24 "kind-unknown" "the kind is not in the registry of what is built";
    SignerRole = 25 "signer-role" "this kind is not signed by the role it is expected from";
    PlaneMismatch = 26 "plane-mismatch" "this kind does not belong to the plane it came for";
    HeaderNumbers = 27 "header-numbers" "the header numbers are not those of the kind";
    EpochZero = 28 "epoch-zero" "epoch 0 where epochs start at 1";
    SeqZero = 29 "seq-zero" "sequence 0 where sequences start at 1";
    BaseNotBelow = 30 "base-not-below" "the base of a delta is not below its sequence";
    DigestLength = 31 "digest-length" "the header digest has not the length of its kind";
    SignatureLength = 32 "signature-length" "the signature is not 64 bytes";
    KeyUnknown = 33 "key-unknown" "no key that may sign this matches the key id";
    KeyRevoked = 34 "key-revoked" "the key is revoked by the bundle";
    KeyRefused = 35 "key-refused" "the public key is not canonical, of small or mixed order, or no point";
    SignatureInvalid = 36 "signature-invalid" "the signature does not verify for this channel, incarnation, plane and kind";
    AlgorithmMismatch = 37 "algorithm-mismatch" "the key is of another algorithm than the header names";

    NameInvalid = 40 "name-invalid" "a tenant or device name is outside 1..63 characters of a-z 0-9 . _ -";
    PathInvalid = 41 "path-invalid" "a path is not segments of a-z 0-9 . _ - joined by /";
    PathConflict = 42 "path-conflict" "one path is an ancestor of another";
    ValueInvalid = 43 "value-invalid" "a value is neither scalar nor reference";
    ValueOversize = 44 "value-oversize" "a value is larger than 32 KiB";
    SectionInvalid = 45 "section-invalid" "a section name is not empty or one valid segment";
    SectionOversize = 46 "section-oversize" "a section body is larger than 64 KiB";
    StateOversize = 47 "state-oversize" "the state holds over 512 sections or 1 MiB";
    DeltaEmpty = 48 "delta-empty" "a delta changes nothing";
    DeltaOrder = 49 "delta-order" "removals are not unique and ascending by encoding";
    DeltaConflict = 50 "delta-conflict" "a delta sets and removes the same path";
    DeltaRemoveAbsent = 51 "delta-remove-absent" "a delta removes a path that the base does not hold";
    DigestMismatch = 52 "digest-mismatch" "the result has not the digest that the header signs";
    LineageInvalid = 53 "lineage-invalid" "the lineage is not ascending, too long, or reaches the own epoch";
    BodyMismatch = 54 "body-mismatch" "a section body is not the one that the table names";
    EditRuns = 55 "edit-runs" "an edit has over 256 runs";
    EditEmpty = 56 "edit-empty" "a run of an edit changes nothing or touches the run before it";
    EditRange = 57 "edit-range" "an edit reaches beyond the end of its base";
    EditBase = 58 "edit-base" "an edit names a path that holds neither text nor bytes";
    EditUtf8 = 59 "edit-utf8" "an edit makes a text that is not UTF-8";

    NothingStored = 60 "nothing-stored" "a delta came before any snapshot";
    GenerationStale = 61 "generation-stale" "the signer's generation is below the stored one";
    EpochStale = 62 "epoch-stale" "the epoch is below the stored one";
    EpochNeedsSnapshot = 63 "epoch-needs-snapshot" "a new epoch or generation must begin with a snapshot";
    WriterBehind = 64 "writer-behind" "the new epoch's lineage does not cover the state held here";
    EpochFrozen = 65 "epoch-frozen" "the writer contradicted itself in this epoch";
    Equivocation = 66 "equivocation" "the same number was signed with two contents";
    BaseOlder = 67 "base-older" "the base of the delta is older than the state held here";
    BaseNewer = 68 "base-newer" "the base of the delta is newer than the state held here";

    ReportCursors = 70 "report-cursors" "the cursors are not received >= accepted >= applied";
    ReportListOversize = 71 "report-list-oversize" "a report list holds over 16 entries";
    ReportStale = 72 "report-stale" "a newer report of this incarnation is already held";

    BundleRoot = 80 "bundle-root" "the bundle is not signed by a root that may sign it";
    BundleGap = 81 "bundle-gap" "a bundle before it is missing: no root that is held signed it";
    BundleStale = 82 "bundle-stale" "the bundle is not newer than the one held";
    BundleChain = 83 "bundle-chain" "the bundle does not name the held one as its predecessor";
    BundleGeneration = 84 "bundle-generation" "a writer key changed without its generation going up by one";
    BundleRevocation = 85 "bundle-revocation" "the bundle withdraws a revocation";

    TokenUnknown = 90 "token-unknown" "no open invitation has this token";
    TokenUsed = 91 "token-used" "the invitation was used by another key";
    EnrolMac = 92 "enrol-mac" "the request does not prove the invitation's secret";
    EnrolAnswerMismatch = 93 "enrol-answer-mismatch" "the enrolment answer is for another request or key";
    EnrolPending = 94 "enrol-pending" "the enrolment waits for its controller";
    KnockUnknown = 95 "knock-unknown" "no enrolment waits here under this number";

    FrameUnknown = 100 "frame-unknown" "the frame type is not in the registry";
    FrameDirection = 101 "frame-direction" "the frame type does not travel in this direction";
    SessionUnknown = 102 "session-unknown" "the session is not known here";
    SessionMac = 103 "session-mac" "the frame's tag does not verify";
    SessionReplay = 104 "session-replay" "the frame's counter was seen or is too old";
    CounterExhausted = 105 "counter-exhausted" "the frame counter is outside 1..65535";
    AnswerMismatch = 106 "answer-mismatch" "the answer does not carry the request's counter";
    HoldRange = 107 "hold-range" "the hold is above 300 seconds";
    ChallengeUnknown = 108 "challenge-unknown" "the challenge was not issued here or has aged out";
    MailboxMismatch = 109 "mailbox-mismatch" "the challenge names a mailbox that the bundle does not";
    EphemeralInvalid = 110 "ephemeral-invalid" "the key agreement gives no shared secret";
    NotAdmitted = 111 "not-admitted" "the channel is not admitted to this mailbox";
    NeedLimited = 112 "need-limited" "a snapshot of this plane was asked for less than 5 s ago";
    Quota = 113 "quota" "the mailbox is full";
    Overloaded = 114 "overloaded" "the mailbox has no capacity now";
    NotPostern = 115 "not-postern" "the answer is no Postern frame";
    SessionRole = 116 "session-role" "the frame does not belong into a session of whoever opened this one";
    AdmissionStale = 117 "admission-stale" "a newer admission of this device is already held";
    RetentionExpired = 118 "retention-expired" "the mailbox kept it as long as it may, and nobody came for it";
    StreamOrder = 119 "stream-order" "the answer of a stream is not the next one";

    NotEncrypted = 120 "not-encrypted" "the message is readable where plane keys are held";
    PlaneKeyMissing = 121 "plane-key-missing" "a key that encryption needs is not held, or was not bound";
    DecryptionFailed = 122 "decryption-failed" "the bytes do not decrypt for this place under the key that they name";
    PlaneKeyStale = 123 "plane-key-stale" "newer plane keys of this device are already held";
    PlaneKeyConflict = 124 "plane-key-conflict" "the plane key would change the digests of this incarnation";
}

impl Reject {
    //= spec/postern.md#rejects
    //# A receiver MUST accept a reject number that it does not know, in a report, a hint or frame
    //# 22, as an unknown reason.
    /// Returns the reject of a wire code, or `None` for a number outside the registry.
    #[must_use]
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|reject| u64::from(reject.code()) == code)
    }
}

impl core::fmt::Display for Reject {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for Reject {}
