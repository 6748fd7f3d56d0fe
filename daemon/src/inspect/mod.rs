//! Shows what a file of Postern's holds, for people and as JSON.
//!
//! ```text
//!  postern1:...      join line, all but its secret
//!  d2 .. | 84 ..     envelope with or without tag, a bundle among them; or several in a row
//!  0e | 10 | 11 | 17 frames of a file, one after the other
//!  00-05, 10-16      a frame
//!  anything else     one item of strict CBOR
//! ```
//!
//! Refuses garbage with the reject's name and the byte where reading stopped. Never shows the secret
//! of a join line, and never says `valid` without a key.

mod detect;
mod diagnostic;
mod envelope;
mod frame;
pub(crate) mod hex;
mod show;
#[cfg(test)]
mod tests;

use crate::exit::{CommandError, Exit};
use envelope::{Belief, Judgement};
use hex::from_hex;
use postern_protocol::Reject;
use postern_protocol::id::{DeviceName, Incarnation, Plane, Tenant, Thumbprint};
use postern_protocol::key::PublicKey;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Bytes of a file that is read at all.
const FILE_BYTES_MAX: u64 = crate::filed::limits::FILE_BYTES_MAX;

/// What to show, and whom to believe.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct InspectArgs {
    /// File to explain: an envelope, a bundle, a frame, posted files, a join line or raw CBOR; - reads standard input
    pub(crate) file: PathBuf,
    /// Print one JSON object instead of lines
    #[arg(long)]
    pub(crate) json: bool,
    /// Public key that must have signed, 64 hexadecimal digits; without it no signature is checked
    #[arg(long, value_name = "HEX", requires = "root")]
    pub(crate) key: Option<String>,
    /// Thumbprint of the genesis root key, 64 hexadecimal digits: the trust domain
    #[arg(long, value_name = "HEX", requires = "key")]
    pub(crate) root: Option<String>,
    /// Tenant that the signature must be bound to
    #[arg(long, requires = "key")]
    pub(crate) tenant: Option<String>,
    /// Device that the signature must be bound to
    #[arg(long, requires_all = ["tenant", "incarnation"])]
    pub(crate) device: Option<String>,
    /// Incarnation of the device, 32 hexadecimal digits
    #[arg(long, value_name = "HEX", requires = "device")]
    pub(crate) incarnation: Option<String>,
    /// Plane that the message must be about; taken from its kind when absent
    #[arg(long, value_parser = ["desired", "actual"], requires = "key")]
    pub(crate) plane: Option<String>,
}

/// Prints what a file holds.
///
/// # Errors
/// A file that cannot be read or holds nothing of Postern's; arguments that are no keys or names; a
/// signature that was to be checked and does not verify, after everything is printed.
pub(crate) fn run(args: &InspectArgs) -> Result<(), CommandError> {
    let belief = belief(args)?;
    let bytes = read(&args.file)?;
    let found =
        detect::explain(&bytes, belief.as_ref()).map_err(|refusal| refusal.to_error(&args.file))?;
    let text = match args.json {
        true => format!("{}\n", found.show.to_json()),
        false => found.show.to_lines(),
    };
    print(&text)?;
    found.judgements.into_iter().try_for_each(judge)
}

fn judge(judgement: Judgement) -> Result<(), CommandError> {
    match judgement {
        Judgement::NotChecked | Judgement::Valid => Ok(()),
        Judgement::Refused(reject) => Err(CommandError::configuration(
            reject.as_str(),
            format!("the envelope is refused: {}", reject.sentence()),
            "check key, root, tenant, device, incarnation and plane; else do not use the file",
        )),
        Judgement::ChannelIncomplete => Err(CommandError::new(
            Exit::Usage,
            "channel-incomplete",
            "the signature binds more of the channel than was given",
            "give the arguments that the line `signature` names",
        )),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, CommandError> {
    let failed = |error: std::io::Error| {
        let message = format!("{}: cannot be read: {error}", file.display());
        CommandError::configuration("file-unreadable", message, "name a file that you may read")
    };
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX + 1;
    if file == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    }
    .map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|count| count <= FILE_BYTES_MAX) {
        return Ok(bytes);
    }
    Err(CommandError::configuration(
        Reject::Oversize.as_str(),
        format!("{}: is larger than 64 MiB", file.display()),
        "split the file",
    ))
}

fn print(text: &str) -> Result<(), CommandError> {
    let mut output = std::io::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(CommandError::failure(
            "output",
            format!("standard output: {error}"),
            "write to somewhere that has room",
        )),
    }
}

fn belief(args: &InspectArgs) -> Result<Option<Belief>, CommandError> {
    let (Some(key), Some(root)) = (&args.key, &args.root) else {
        return Ok(None);
    };
    let key = PublicKey::from_bytes(&hex_argument::<32>("--key", key)?);
    let device = match (&args.device, &args.incarnation) {
        (Some(device), Some(incarnation)) => Some((
            DeviceName::parse(device).map_err(|reject| argument("--device", reject.sentence()))?,
            Incarnation::from_bytes(hex_argument("--incarnation", incarnation)?),
        )),
        (Some(_) | None, _) => None,
    };
    let tenant = args.tenant.as_deref().map(Tenant::parse).transpose();
    Ok(Some(Belief {
        key: key.map_err(|reject| argument("--key", reject.sentence()))?,
        root: Thumbprint::from_bytes(hex_argument("--root", root)?),
        tenant: tenant.map_err(|reject| argument("--tenant", reject.sentence()))?,
        device,
        plane: args.plane.as_deref().map(|plane| match plane {
            "actual" => Plane::Actual,
            _ => Plane::Desired,
        }),
    }))
}

fn hex_argument<const N: usize>(name: &str, text: &str) -> Result<[u8; N], CommandError> {
    from_hex(text)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| argument(name, &format!("{} hexadecimal digits are needed", N * 2)))
}

fn argument(name: &str, message: &str) -> CommandError {
    let next = "correct the argument; `postern inspect --help` explains it";
    CommandError::new(Exit::Usage, "argument", format!("{name}: {message}"), next)
}
