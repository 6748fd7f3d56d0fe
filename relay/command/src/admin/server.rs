//! The relay's end of the admin socket.
//!
//! Bounded in everything that a client decides: connections, bytes of a line, requests under way.
//! Refuses to start beside another relay in the same folder.

use super::desk::Desk;
use super::request::Request;
use super::response::Response;
use crate::audit::Asker;
use crate::limits::{ADMIN_CONNECTIONS_MAX, REQUEST_BYTES_MAX};
use postern_console::exit::{CommandError, Exit};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// Opens the admin socket, mode 0600.
///
/// # Errors
/// A relay that runs in this folder already; a folder that cannot be written.
pub fn bind(path: &Path) -> Result<std::os::unix::net::UnixListener, CommandError> {
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
                "relay-running",
                format!("{}: a relay runs in this folder already", path.display()),
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
    let listener = std::os::unix::net::UnixListener::bind(path).map_err(|error| failed(&error))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(|error| failed(&error))?;
    Ok(listener)
}

/// Makes a double of the socket for the current runtime.
///
/// # Errors
/// Those of the system.
pub fn double(socket: &std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket.try_clone()?)
}

/// Serves operators until the task is aborted.
pub async fn serve(listener: UnixListener, desk: Arc<Desk>) {
    let room = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: yield, so that connections under way can end.
            tokio::task::yield_now().await;
            continue;
        };
        let desk = Arc::clone(&desk);
        let _task = tokio::spawn(async move {
            if let Err(error) = converse(stream, &desk).await {
                tracing::debug!(%error, "admin connection ended");
            }
            drop(permit);
        });
    }
}

async fn converse(stream: UnixStream, desk: &Arc<Desk>) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let who = Asker {
        uid: Some(peer.uid()),
        pid: peer.pid(),
    };
    let (read, mut write) = stream.into_split();
    let mut reader = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        let bytes = (&mut reader)
            .take(REQUEST_BYTES_MAX + 1)
            .read_until(b'\n', &mut line)
            .await?;
        if bytes == 0 {
            return Ok(());
        }
        let is_long = line.len() as u64 > REQUEST_BYTES_MAX;
        let response = if is_long {
            malformed(&format!(
                "a request is longer than {REQUEST_BYTES_MAX} bytes"
            ))
        } else {
            answer(&line, who.clone(), desk).await
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

/// Answers off the event loop: the audit log waits for the disk.
async fn answer(line: &[u8], who: Asker, desk: &Arc<Desk>) -> Response {
    let Ok(text) = std::str::from_utf8(line) else {
        return malformed("a request is not UTF-8");
    };
    let request = match Request::parse(text) {
        Ok(request) => request,
        Err(reason) => return malformed(&reason),
    };
    let desk = Arc::clone(desk);
    let answering = tokio::task::spawn_blocking(move || desk.answer(&who, request));
    match answering.await {
        Ok(response) => response,
        Err(_) => CommandError::failure(
            "request-failed",
            "the request ended unexpectedly",
            "look at the relay's log",
        )
        .into(),
    }
}

fn malformed(reason: &str) -> Response {
    CommandError::new(
        Exit::Failure,
        "request-malformed",
        format!("the request is refused: {reason}"),
        "use the same version of postern-relay for the relay and for this command",
    )
    .into()
}
