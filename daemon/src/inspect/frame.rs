//! Frames, explained: what they carry, with every envelope inside.
//!
//! The tag of a session frame cannot be checked here; the tree says so.

use super::diagnostic;
use super::envelope::{Belief, Judgement, explain};
use super::hex::to_hex;
use super::show::Show;
use postern_protocol::Reject;
use postern_protocol::frame::{
    BodyChunk, Collected, Direction, DownFrame, Entry, Item, PlainFrame, SessionFrame, UpFrame,
    frame_type,
};
use postern_protocol::id::{ChannelId, Plane};

/// Explains a frame. # Errors: the reject of the frame or of an envelope in it.
pub(super) fn explain_frame(
    bytes: &[u8],
    belief: Option<&Belief>,
) -> Result<(Show, Vec<Judgement>), Reject> {
    let found = frame_type(bytes)?;
    let mut rows = vec![
        (
            "frame",
            Show::Text(format!("{} ({})", found.as_str(), found.number())),
        ),
        ("travels", Show::text(direction_name(found.direction()))),
        ("frame_bytes", Show::count(bytes.len())),
    ];
    let mut judgements = Vec::new();
    let mut open = |envelope: &[u8]| {
        let (show, judgement) = explain(envelope, belief)?;
        judgements.push(judgement);
        Ok(show)
    };
    if found.is_in_session() {
        rows.extend(session_rows(bytes, found.direction(), &mut open)?);
    } else {
        rows.extend(plain_rows(
            PlainFrame::decode(bytes, found.direction())?,
            &mut open,
        )?);
    }
    Ok((Show::Rows(rows), judgements))
}

type Rows = Vec<(&'static str, Show)>;

fn session_rows(
    bytes: &[u8],
    direction: Direction,
    open: &mut impl FnMut(&[u8]) -> Result<Show, Reject>,
) -> Result<Rows, Reject> {
    let frame = SessionFrame::split(bytes, direction)?;
    let body = frame.danger_unverified_body()?;
    let envelopes = match direction {
        Direction::Up => match body.decode_up()? {
            UpFrame::Post(items) => items,
            UpFrame::Poll(_)
            | UpFrame::Stream(_)
            | UpFrame::Need { .. }
            | UpFrame::Fetch { .. }
            | UpFrame::Put { .. }
            | UpFrame::Collect(_)
            | UpFrame::DeliverBodies { .. }
            | UpFrame::FetchBodies { .. }
            | UpFrame::DeliverEnrolled { .. } => Vec::new(),
            UpFrame::Deliver(deliveries) => deliveries.iter().map(|one| one.item).collect(),
        },
        Direction::Down | Direction::File => match body.decode_down()? {
            DownFrame::Answer(answer) => answer.items,
            DownFrame::StreamAnswer(streamed) => streamed.answer.items,
            DownFrame::Bodies(_) => Vec::new(),
            DownFrame::Collected(collected) => items_of(&collected),
        },
    };
    // Type byte and session id stand before the sequence, the tag of 8 bytes behind it.
    let end = bytes.len().saturating_sub(8);
    let sequence = diagnostic::sequence(bytes.get(5..end).unwrap_or_default())?;
    let opened = envelopes.iter().map(|item| item_rows(item, open));
    Ok(vec![
        ("session", Show::text(frame.session())),
        ("counter", Show::Number(body.counter().into())),
        (
            "tag",
            Show::text("not checked (only the two ends hold its key)"),
        ),
        (
            "body",
            Show::List(sequence.into_iter().map(Show::Text).collect()),
        ),
        ("envelopes", Show::List(opened.collect::<Result<_, _>>()?)),
    ])
}

/// The envelopes of what arrived; an enrolment is a frame, which the body shows.
fn items_of<'a>(collected: &Collected<'a>) -> Vec<Item<'a>> {
    let entries = collected.entries.iter();
    let items = entries.filter_map(|entry| match entry {
        Entry::Envelope { delivery, .. } => Some(delivery.item),
        Entry::Knock { .. } => None,
    });
    items.collect()
}

fn item_rows(
    item: &Item<'_>,
    open: &mut impl FnMut(&[u8]) -> Result<Show, Reject>,
) -> Result<Show, Reject> {
    Ok(Show::Rows(vec![
        ("plane", plane_name(item.plane)),
        ("envelope", open(item.envelope)?),
    ]))
}

fn plain_rows(
    frame: PlainFrame<'_>,
    open: &mut impl FnMut(&[u8]) -> Result<Show, Reject>,
) -> Result<Rows, Reject> {
    Ok(match frame {
        PlainFrame::Enrol {
            token,
            mac,
            request,
        } => vec![
            ("token", Show::text(token)),
            ("mac", Show::Text(to_hex(&mac))),
            ("request", open(request)?),
        ],
        PlainFrame::Enrolled { bundles, answer } => {
            let bundles: Result<_, Reject> = bundles.into_iter().map(&mut *open).collect();
            vec![("bundles", Show::List(bundles?)), ("answer", open(answer)?)]
        }
        PlainFrame::Ask { bundle } => {
            let mut rows = vec![("version", Show::Number(1))];
            rows.extend(bundle.map(|bundle| ("bundle", Show::Number(bundle.number()))));
            rows
        }
        PlainFrame::Challenge {
            challenge,
            ephemeral,
            mailbox,
        } => vec![
            ("challenge", Show::text(challenge)),
            ("ephemeral", Show::Text(to_hex(&ephemeral))),
            ("mailbox", Show::text(mailbox)),
        ],
        PlainFrame::Hello { channel, hello } => {
            vec![("channel", Show::text(channel)), ("hello", open(hello)?)]
        }
        PlainFrame::Welcome { welcome } => vec![("welcome", open(welcome)?)],
        PlainFrame::Refused { code, retry_ms } => {
            let reject = Reject::from_code(code.into());
            let name = reject.map_or("unknown to this version", Reject::as_str);
            let mut rows = vec![
                ("code", Show::Number(code.into())),
                ("reject", Show::text(name)),
                ("signature", Show::text("none: a refusal only advises")),
            ];
            rows.extend(retry_ms.map(|retry_ms| ("retry_ms", Show::Number(retry_ms))));
            rows
        }
        PlainFrame::Posted {
            channel,
            plane,
            envelope,
        } => vec![
            ("channel", Show::text(channel)),
            ("plane", plane_name(plane)),
            ("envelope", open(envelope)?),
        ],
        PlainFrame::FiledBody {
            channel,
            plane,
            chunk,
        } => filed_rows(channel, plane, &chunk),
    })
}

fn filed_rows(channel: ChannelId, plane: Plane, chunk: &BodyChunk<'_>) -> Rows {
    vec![
        ("channel", Show::text(channel)),
        ("plane", plane_name(Some(plane))),
        ("body", Show::text(chunk.digest)),
        ("body_bytes", Show::Number(chunk.size)),
        ("offset", Show::Number(chunk.offset)),
        ("chunk_bytes", Show::count(chunk.bytes.len())),
    ]
}

fn plane_name(plane: Option<Plane>) -> Show {
    Show::text(plane.map_or("none", Plane::as_str))
}

const fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "up, to the mailbox",
        Direction::Down => "down, from the mailbox",
        Direction::File => "in a file",
    }
}
