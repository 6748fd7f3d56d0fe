//! The operator's end of the socket: one connection, questions and answers in order.
//!
//! Refuses to start a relay by itself: where it runs is the operator's decision.

use super::request::Request;
use super::response::Response;
use crate::config::RelayConfig;
use crate::limits::ANSWER_BYTES_MAX;
use postern_console::exit::CommandError;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// A connection to a running relay.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<UnixStream>,
    socket: PathBuf,
}

impl Client {
    /// Connects to the relay of a folder.
    ///
    /// # Errors
    /// [`Exit::Unreachable`](postern_console::exit::Exit::Unreachable) when none runs there.
    pub fn connect(dir: &Path) -> Result<Self, CommandError> {
        let socket = RelayConfig::socket_in(dir);
        if !RelayConfig::file(dir).exists() {
            return Err(CommandError::configuration(
                "relay-missing",
                format!("{}: there is no relay in this folder", dir.display()),
                format!(
                    "name its folder with --dir or POSTERN_RELAY_DIR, or make one with `postern-relay init --dir {}`",
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
    /// The error that the relay answered; a connection that ends.
    pub fn ask(&mut self, request: &Request) -> Result<Response, CommandError> {
        let mut line = request.to_line();
        line.push('\n');
        let text = self.exchange(line.as_bytes()).map_err(|error| {
            CommandError::unreachable(
                "relay-gone",
                format!("{}: the relay went away: {error}", self.socket.display()),
                "look at its log; ask `postern-relay status` before repeating the command",
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
            "run this as the user who runs the relay",
        );
    }
    CommandError::unreachable(
        "relay-not-running",
        format!("{}: no relay runs in this folder", dir.display()),
        format!("start it with `postern-relay run --dir {}`", dir.display()),
    )
}

/// Tells that an answer is not the one to the question.
#[must_use]
pub fn unexpected() -> CommandError {
    CommandError::failure(
        "answer-unexpected",
        "the relay answered another question",
        "use the same version of postern-relay for the relay and for this command",
    )
}
