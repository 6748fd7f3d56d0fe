//! The controller's end of the operator socket.
//!
//! Bounded in everything that a client decides: connections, bytes of a line, requests under way.
//! Refuses to start beside another controller in the same folder.

use super::request::{OperatorRequest, Request};
use super::response::Response;
use crate::exit::{CommandError, Exit};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Bytes of one request line: a full state as JSON and some.
pub const LINE_BYTES_MAX: u64 = 2 << 20;
/// Connections at once. Arbitrary, far above the operators of one controller.
const CONNECTIONS_MAX: usize = 64;

/// Opens the operator socket, mode 0600.
///
/// # Errors
/// A controller that runs in this folder already; a folder that cannot be written.
pub fn bind(path: &Path) -> Result<UnixListener, CommandError> {
    let failed = |error: &io::Error| {
        CommandError::failure(
            "socket-failed",
            format!("{}: {error}", path.display()),
            "use a shorter path (a socket's is at most 107 bytes) in a folder that you may write to",
        )
    };
    if let Ok(metadata) = fs::symlink_metadata(path) {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(CommandError::failure(
                "controller-running",
                format!(
                    "{}: a controller runs in this folder already",
                    path.display()
                ),
                "end that process first, or name another folder with --dir",
            ));
        }
        if !metadata.file_type().is_socket() {
            return Err(CommandError::configuration(
                "socket-taken",
                format!("{}: this is no socket", path.display()),
                "move the file away",
            ));
        }
        fs::remove_file(path).map_err(|error| failed(&error))?;
    }
    let listener = UnixListener::bind(path).map_err(|error| failed(&error))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(|error| failed(&error))?;
    Ok(listener)
}

/// Serves operators until the receiver of requests is gone.
pub async fn serve(listener: UnixListener, sender: mpsc::Sender<OperatorRequest>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            () = sender.closed() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors: yield, so that connections under way can end.
            tokio::task::yield_now().await;
            continue;
        };
        let sender = sender.clone();
        let _task = tokio::spawn(async move {
            if let Err(error) = converse(stream, &sender).await {
                tracing::debug!(%error, "operator connection ended");
            }
            drop(permit);
        });
    }
}

async fn converse(stream: UnixStream, sender: &mpsc::Sender<OperatorRequest>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut reader = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        let bytes = (&mut reader)
            .take(LINE_BYTES_MAX + 1)
            .read_until(b'\n', &mut line)
            .await?;
        if bytes == 0 {
            return Ok(());
        }
        let is_long = line.len() as u64 > LINE_BYTES_MAX;
        let response = if is_long {
            malformed(&format!("a request is longer than {LINE_BYTES_MAX} bytes"))
        } else {
            answer(&line, sender).await
        };
        let mut text = response.to_line();
        text.push('\n');
        write.write_all(text.as_bytes()).await?;
        if is_long {
            // Where the next line begins is unknown.
            return write.shutdown().await;
        }
    }
}

async fn answer(line: &[u8], sender: &mpsc::Sender<OperatorRequest>) -> Response {
    let Ok(text) = std::str::from_utf8(line) else {
        return malformed("a request is not UTF-8");
    };
    let request = match Request::parse(text) {
        Ok(request) => request,
        Err(reason) => return malformed(&reason),
    };
    let (reply, response) = oneshot::channel();
    if sender
        .send(OperatorRequest { request, reply })
        .await
        .is_err()
    {
        return stopping();
    }
    response.await.unwrap_or_else(|_| stopping())
}

fn malformed(reason: &str) -> Response {
    CommandError::new(
        Exit::Failure,
        "request-malformed",
        format!("the request is refused: {reason}"),
        "use the same version of postern for the controller and for this command",
    )
    .into()
}

fn stopping() -> Response {
    CommandError::unreachable(
        "controller-stopping",
        "the controller is stopping",
        "start it with `postern controller run` and ask again",
    )
    .into()
}
