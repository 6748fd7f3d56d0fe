//! CBOR in diagnostic notation (RFC 8949 section 8). Refuses what the strict reader refuses.
//!
//! Text is escaped so that nothing in a message can steer the terminal that shows it.

use super::hex::to_hex;
use postern_protocol::Reject;
use postern_protocol::cbor::{Kind, Reader};

/// Writes one item that is strict CBOR. # Errors: the CBOR reject.
pub(super) fn item(bytes: &[u8]) -> Result<String, Reject> {
    // The strict check bounds depth and size before anything recurses.
    postern_protocol::cbor::check(bytes)?;
    let mut text = String::new();
    write_item(&mut Reader::new(bytes), &mut text)?;
    Ok(text)
}

/// Writes each item of a CBOR sequence. # Errors: the CBOR reject.
pub(super) fn sequence(bytes: &[u8]) -> Result<Vec<String>, Reject> {
    let mut reader = Reader::new(bytes);
    let mut items = Vec::new();
    while !reader.is_at_end() {
        items.push(item(reader.item()?)?);
    }
    Ok(items)
}

fn write_item(reader: &mut Reader<'_>, text: &mut String) -> Result<(), Reject> {
    match reader.peek()? {
        Kind::Uint | Kind::Nint => text.push_str(&reader.int()?.to_string()),
        Kind::Bytes => {
            text.push_str("h'");
            text.push_str(&to_hex(reader.bytes()?));
            text.push('\'');
        }
        Kind::Text => text.push_str(&format!("{:?}", reader.text()?)),
        Kind::Array => {
            text.push('[');
            for at in 0..reader.array()? {
                text.push_str(if at == 0 { "" } else { ", " });
                write_item(reader, text)?;
            }
            text.push(']');
        }
        Kind::Map => {
            text.push('{');
            for at in 0..reader.map()? {
                text.push_str(if at == 0 { "" } else { ", " });
                write_item(&mut Reader::new(reader.key()?), text)?;
                text.push_str(": ");
                write_item(reader, text)?;
            }
            text.push('}');
        }
        Kind::Bool => text.push_str(if reader.bool()? { "true" } else { "false" }),
        Kind::Null => {
            reader.null()?;
            text.push_str("null");
        }
        Kind::Float => text.push_str(&format!("{:?}", reader.float()?)),
        Kind::Refused => return reader.item().map(|_| ()),
    }
    Ok(())
}
