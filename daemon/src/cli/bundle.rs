//! `postern bundle export|import`: a controller and its devices exchange files instead of frames.
//!
//! One pair of commands for both ends: `--device DIR` names a device's folder, else the running
//! controller is asked. Refuses to hide anything: every frame that was refused is named.

use super::{OperatorArgs, output, parse_device};
use crate::config::DeviceConfig;
use crate::device as driver;
use crate::exit::{CommandError, Exit};
use crate::filed::{self, FrameReader, Outcome, Row, limits::FRAMES_A_REQUEST};
use crate::operator::client::{Client, unexpected};
use crate::operator::{Request, Response};
use base64ct::{Base64, Encoding as _};
use clap::{Args, Subcommand};
use postern_protocol::id::DeviceName;
use postern_protocol::revision::Revision;
use serde_json::{Value as Json, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(super) enum BundleCommand {
    /// Write a file for the other end
    #[command(
        long_about = "Writes a file for the other end, private to you. Of a running controller: all that the device NAME\n\
            needs, first of all the answer to its request to join. Of a device that does not run (--device):\n\
            its report and its actual state. Nothing in it is secret.\n\n\
            Example: postern bundle export hall-1 --dir controller --out /media/stick/hall-1.down\n         \
            postern bundle export --device device --out /media/stick/hall-1.up"
    )]
    Export(ExportArgs),
    /// Read a file of the other end
    #[command(
        long_about = "Reads a file of the other end and shows what became of each frame. Everything in it is verified as if\n\
            it came over a network. A device takes all of a file or nothing, and must not run meanwhile.\n\n\
            Exit code 0: nothing was refused · 3: refused (device) · 5: something was refused (controller)\n\n\
            Example: postern bundle import /media/stick/hall-1.down --device device\n         \
            postern bundle import /media/stick/hall-1.up --dir controller"
    )]
    Import(ImportArgs),
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The device to write for; not with --device
    #[arg(value_name = "NAME", value_parser = parse_device, required_unless_present = "device")]
    name: Option<DeviceName>,
    /// The folder of the device that writes
    #[arg(long, value_name = "DIR", conflicts_with_all = ["name", "dir", "tenant"])]
    device: Option<PathBuf>,
    /// The file to write [default: NAME.down, of a device device.up]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write over a file that exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The file to read
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The folder of the device that reads
    #[arg(long, value_name = "DIR", conflicts_with_all = ["dir", "tenant"])]
    device: Option<PathBuf>,
    #[command(flatten)]
    operator: OperatorArgs,
}

impl BundleCommand {
    pub(super) const fn is_json(&self) -> bool {
        match self {
            Self::Export(args) => args.operator.json,
            Self::Import(args) => args.operator.json,
        }
    }

    pub(super) fn run(&self) -> Result<(), CommandError> {
        match self {
            Self::Export(args) => args.run(),
            Self::Import(args) => match &args.device {
                Some(dir) => args.on_device(dir),
                None => args.on_controller(),
            },
        }
    }
}

impl ExportArgs {
    fn run(&self) -> Result<(), CommandError> {
        let (frames, usual) = match (&self.device, &self.name) {
            (Some(dir), _) => {
                let config = DeviceConfig::load(dir)?;
                (driver::export(&config)?, "device.up".to_owned())
            }
            (None, Some(name)) => (self.of_controller(name)?, format!("{name}.down")),
            (None, None) => unreachable!("the parser wants one of the two"),
        };
        let file = self.out.clone().unwrap_or_else(|| usual.into());
        filed::write(&file, &frames, self.force)?;
        let bytes: usize = frames.iter().map(Vec::len).sum();
        if self.operator.json {
            let kinds: Vec<_> = frames.iter().map(|frame| Row::of(frame).kind).collect();
            output::json(&json!({ "file": file, "bytes": bytes, "frames": kinds }));
        } else {
            let (file, count) = (file.display(), frames.len());
            output::line(format!("wrote {file}: {count} frames, {bytes} bytes"));
        }
        Ok(())
    }

    fn of_controller(&self, name: &DeviceName) -> Result<Vec<Vec<u8>>, CommandError> {
        let target = self.operator.target(name);
        let request = Request::Export { target };
        let Response::Exported { frames } = Client::connect(&self.operator.dir())?.ask(&request)?
        else {
            return Err(unexpected());
        };
        let decoded = frames.iter().map(String::as_str).map(Base64::decode_vec);
        decoded.collect::<Result<_, _>>().map_err(|_| unexpected())
    }
}

impl ImportArgs {
    fn on_device(&self, dir: &Path) -> Result<(), CommandError> {
        let config = DeviceConfig::load(dir)?;
        let imported = driver::import(&config, &self.file)?;
        let refused = imported.refused;
        let accepted = imported.accepted.map(number);
        let more = json!({
            "enrolled": imported.is_enrolment,
            "accepted": accepted,
            "kept": refused.is_none(),
        });
        self.show(&imported.rows, more);
        if let Some(refused) = refused {
            return Err(refused);
        }
        if !self.operator.json {
            let word = if imported.is_enrolment {
                "joined; "
            } else {
                ""
            };
            let held = accepted.as_deref().unwrap_or("nothing");
            let dir = dir.display();
            output::line(format!(
                "{word}the device holds {held}\nNext:\n  postern device run --dir {dir}"
            ));
        }
        Ok(())
    }

    fn on_controller(&self) -> Result<(), CommandError> {
        let mut reader = FrameReader::open(&self.file)?;
        let mut client = Client::connect(&self.operator.dir())?;
        let (mut rows, mut missing) = (Vec::new(), 0);
        loop {
            let (frames, broken) = batch(&mut reader, &self.file)?;
            let is_last = frames.len() < FRAMES_A_REQUEST;
            if !frames.is_empty() {
                let request = Request::Import { frames, missing };
                let Response::Imported {
                    rows: more,
                    missing: left,
                } = client.ask(&request)?
                else {
                    return Err(unexpected());
                };
                rows.extend(more);
                missing = left;
            }
            rows.extend(broken);
            if is_last {
                break;
            }
        }
        self.show(&rows, json!({ "missing_bodies": missing }));
        self.judge(&rows, missing)
    }

    /// Names the first refusal; what was taken beside it stays taken.
    fn judge(&self, rows: &[Row], missing: usize) -> Result<(), CommandError> {
        let file = self.file.display();
        let mut refused = rows.iter().enumerate();
        let first = refused.find_map(|(place, row)| row.reject.as_ref().map(|name| (place, name)));
        if let Some((place, name)) = first {
            return Err(CommandError::new(
                Exit::Refused,
                name,
                format!("{file}: frame {place} is refused: {name}"),
                "what was taken stays taken; export the file on the device again",
            ));
        }
        if missing > 0 {
            return Err(CommandError::new(
                Exit::Refused,
                "file-incomplete",
                format!("{file}: {missing} bodies of a snapshot are missing"),
                "the snapshot waits for them; copy the file again, or export it again",
            ));
        }
        Ok(())
    }

    fn show(&self, rows: &[Row], more: Json) {
        let count = |outcome| rows.iter().filter(|row| row.outcome == outcome).count();
        if self.operator.json {
            let places = rows.iter().enumerate();
            let mut shown = json!({
                "file": self.file,
                "frames": places.map(|(place, row)| row.to_json(place)).collect::<Vec<_>>(),
                "taken": count(Outcome::Taken),
                "known": count(Outcome::Known),
                "older": count(Outcome::Older),
                "refused": count(Outcome::Refused),
            });
            if let (Some(shown), Json::Object(more)) = (shown.as_object_mut(), more) {
                shown.extend(more);
            }
            output::json(&shown);
        } else {
            output::text(&table(rows));
        }
    }
}

/// Reads the frames of one request, and the row of what broke the reading.
fn batch(
    reader: &mut FrameReader<std::fs::File>,
    file: &Path,
) -> Result<(Vec<String>, Option<Row>), CommandError> {
    let mut frames = Vec::new();
    while frames.len() < FRAMES_A_REQUEST {
        let next = reader.next_frame().map_err(|error| {
            let message = format!("{}: cannot be read: {error}", file.display());
            let next = "copy the file to another medium and import it again";
            CommandError::configuration("file-unreadable", message, next)
        })?;
        match next {
            Some(Ok(frame)) => frames.push(Base64::encode_string(&frame)),
            Some(Err(reject)) => return Ok((frames, Some(Row::broken(reject)))),
            None => break,
        }
    }
    Ok((frames, None))
}

fn number(revision: Revision) -> String {
    format!("{}.{}", revision.epoch.number(), revision.seq.number())
}

/// Lays rows out for people; bodies that were taken are one line together.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::from("FRAME  KIND          NUMBER                 OUTCOME\n");
    let (mut bodies, mut bytes) = (0_usize, 0_usize);
    for (place, row) in rows.iter().enumerate() {
        if row.kind == "filed-body" && row.outcome != Outcome::Refused {
            bodies += 1;
            bytes = bytes.saturating_add(row.bytes);
            continue;
        }
        let number = row.number.as_deref().unwrap_or("-");
        let why = row.reject.as_ref().map(|name| format!(": {name}"));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{place:<6} {:<13} {number:<22} {}{}",
            row.kind,
            row.outcome.as_str(),
            why.unwrap_or_default()
        );
    }
    if bodies > 0 {
        let _ = writeln!(text, "       {bodies} bodies, {bytes} bytes");
    }
    text
}
