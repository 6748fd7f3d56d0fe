//! The operator's end of the socket: one connection, questions and answers in order.
//!
//! Refuses to start a controller by itself: where it runs is the operator's decision.

use super::request::Request;
use super::response::Response;
use super::server::LINE_BYTES_MAX;
use crate::config::ControllerConfig;
use crate::exit::{CommandError, Exit};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Bytes of one answer: the status of some ten thousand devices.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// A connection to a running controller.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<UnixStream>,
    socket: PathBuf,
}

impl Client {
    /// Connects to the controller of a folder.
    ///
    /// # Errors
    /// [`Exit::Unreachable`] when none runs there.
    pub fn connect(dir: &Path) -> Result<Self, CommandError> {
        let socket = ControllerConfig::socket_in(dir);
        if !ControllerConfig::file(dir).exists() {
            return Err(CommandError::configuration(
                "controller-missing",
                format!("{}: there is no controller in this folder", dir.display()),
                format!(
                    "name its folder with --dir or POSTERN_DIR, or make one with `postern controller init --dir {}`",
                    dir.display()
                ),
            ));
        }
        match UnixStream::connect(&socket) {
            Ok(stream) => Ok(Self {
                reader: BufReader::new(stream),
                socket,
            }),
            Err(error) => Err(not_running(dir, &socket, &error)),
        }
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// The error that the controller answered; a connection that ends.
    pub fn ask(&mut self, request: &Request) -> Result<Response, CommandError> {
        let mut line = request.to_line();
        line.push('\n');
        if line.len() as u64 > LINE_BYTES_MAX {
            return Err(CommandError::new(
                Exit::Usage,
                "request-oversize",
                format!(
                    "the request of {} bytes is larger than {LINE_BYTES_MAX}",
                    line.len()
                ),
                "decide in several steps",
            ));
        }
        let text = self.exchange(line.as_bytes()).map_err(|error| {
            CommandError::unreachable(
                "controller-gone",
                format!(
                    "{}: the controller went away: {error}",
                    self.socket.display()
                ),
                "look at its log; ask `postern status` before repeating a decision",
            )
        })?;
        Response::parse(&text)?.into_result()
    }

    fn exchange(&mut self, line: &[u8]) -> io::Result<String> {
        self.reader.get_mut().write_all(line)?;
        let mut text = String::new();
        let bytes = (&mut self.reader)
            .take(ANSWER_BYTES_MAX)
            .read_line(&mut text)?;
        if bytes == 0 || !text.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(text)
    }
}

fn not_running(dir: &Path, socket: &Path, error: &io::Error) -> CommandError {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return CommandError::unreachable(
            "socket-denied",
            format!("{}: {error}", socket.display()),
            "run this as the user who runs the controller",
        );
    }
    CommandError::unreachable(
        "controller-not-running",
        format!("{}: no controller runs in this folder", dir.display()),
        format!(
            "start it with `postern controller run --dir {}`",
            dir.display()
        ),
    )
}

/// Tells that an answer is not the one to the question.
#[must_use]
pub fn unexpected() -> CommandError {
    CommandError::failure(
        "answer-unexpected",
        "the controller answered another question",
        "use the same version of postern for the controller and for this command",
    )
}
