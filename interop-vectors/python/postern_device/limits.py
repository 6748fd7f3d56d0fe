"""Every bound of the wire that a device meets, with its unit.

Source: spec/registry.md#limits. Bounds of this program alone stand at the end and say so.
"""

CBOR_DEPTH_MAX = 8  # nested arrays and maps
CBOR_ITEM_BYTES_MAX = 65536  # bytes of one free-standing item
ENVELOPE_BYTES_MAX = 48128  # bytes, untagged
FRAME_BYTES_MAX = 49152  # bytes
KEY_CANDIDATES_MAX = 4  # keys tried for one key id
NAME_BYTES_MAX = 63  # bytes
PATH_BYTES_MAX = 255  # bytes
VALUE_BYTES_MAX = 32768  # bytes of text or bytes in one value
EDIT_RUNS_MAX = 256  # runs of the edit of one value
MEDIA_TYPE_BYTES_MAX = 127  # bytes
SECTION_BYTES_MAX = 65536  # bytes of one section body
SECTIONS_MAX = 512  # sections of one state
STATE_BYTES_MAX = 1048576  # bytes of all bodies of one state
LINEAGE_MAX = 64  # entries
REPORT_LIST_MAX = 16  # entries of one list
RESULT_OUTPUT_BYTES_MAX = 512  # bytes of one output
ROTATION_BYTES_MAX = 512  # bytes of list 6
EVIDENCE_PROOFS_MAX = 2  # messages in one evidence
BODY_CHUNK_BYTES_MAX = 32768  # bytes
FETCH_DIGESTS_MAX = 16  # digests in one fetch
COUNTER_MAX = 65535  # largest frame counter
HOLD_S_MAX = 300  # seconds
SESSION_AGE_S_MAX = 86400  # seconds
UNIX_S_MAX = 253402300799  # seconds since 1970
STREAM_INTERVAL_MS_MIN = 5000  # milliseconds, where no probe
STREAM_PROBE_INTERVAL_MS_MIN = 250  # milliseconds
STREAM_INTERVAL_MS_MAX = 60000  # milliseconds
STREAM_FRAMES_MAX = 1024  # answers of one stream
STREAM_PROBE_FRAMES_MAX = 8  # answers of a probe
STREAM_PAD_BYTES_MAX = 4096  # bytes of one answer, where no probe
STREAM_PROBE_PAD_BYTES_MAX = 16384  # bytes of one answer
NEED_INTERVAL_MS = 5000  # milliseconds between two served needs of a plane
RETRY_MS_MAX = 3600000  # milliseconds
BUNDLE_SKIP_MAX = 4096  # numbers that a bundle may be above the held one
BUNDLE_LIST_MAX = 256  # tenants, mailboxes, revoked keys, each
URL_BYTES_MAX = 512  # bytes
URLS_MAX = 8  # URLs of one mailbox
JOIN_LINE_CHARS_MAX = 16384  # characters of a join line or a relay line
TRUST_LINE_CHARS_MAX = 87397  # characters of a trust line
SNAPSHOTS_WANTED_MAX = 64  # planes in hint 7
ADMISSION_KEYS_MAX = 2  # keys in one admission
ENCRYPTED_OVERHEAD_BYTES_MAX = 64  # bytes of a COSE_Encrypt0 around its plaintext
ENCRYPTED_SECTION_BYTES_MAX = 65472  # bytes of one section body of an encrypted plane
KEY_GENERATIONS_MAX = 4  # generations of plane keys that one end keeps

U64_MAX = 2**64 - 1  # an integer that is not said to be otherwise, spec/postern.md#conventions
REPLAY_WINDOW = 64  # counters below the highest that may still come, spec/postern.md#sessions
INTENT_JUMP_MAX = 2**20  # largest step of an intent that is taken, spec/planes.md#intents
INTENT_PATHS_MAX = 64  # paths with marks, spec/planes.md#intents
