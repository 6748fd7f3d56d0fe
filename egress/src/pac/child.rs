//! The child's side: limits first, then one question, one answer, and the end.
//!
//! Runs in a process of its own, started by [`super::ProcessEvaluator`] with an empty environment. It may
//! open no file and no socket, start nothing, write no file; its memory and processor time are
//! bounded by the kernel. Names are looked up by the parent. Refuses a second question.

use super::engine;
use super::evaluate::Question;
use super::fault::PacFault;
use super::pipe::{self, Word};
use crate::host::Host;
use crate::limits::{
    PAC_CHILD_CPU_S_MAX, PAC_CHILD_MEMORY_BYTES_MAX, PAC_LINE_BYTES_MAX, PAC_SCRIPT_BYTES_MAX,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read, Stdin, Write};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

/// Serves one evaluation over standard input and output; the whole work of the subcommand `pac-child`.
///
/// # Errors
/// Limits that cannot be set, a broken pipe, or a parent that speaks otherwise.
pub fn serve_child() -> io::Result<()> {
    // Before files are forbidden: the C library reads the time zone once.
    warm_up();
    confine()?;
    let input = Rc::new(RefCell::new(BufReader::new(io::stdin())));
    say("ready\n")?;
    let question = read_question(&mut input.borrow_mut())?;
    let asking = Rc::clone(&input);
    let look_up = Box::new(move |name: &str| look_up(name, &asking).unwrap_or_default());
    say(&Word::write(&engine::run(&question, look_up)))?;
    // Without taking the engine apart: nothing of it is needed any more, however it was left.
    std::process::exit(0)
}

fn warm_up() {
    let question = Question {
        script: Arc::from("new Date(0).getHours(); function FindProxyForURL() { return '' }"),
        url: String::new(),
        host: String::new(),
        own: Vec::new(),
        now_ms: None,
    };
    let _time_zone: Result<String, PacFault> = engine::run(&question, Box::new(|_| Vec::new()));
}

fn confine() -> io::Result<()> {
    let limits = [
        (Resource::As, PAC_CHILD_MEMORY_BYTES_MAX),
        (Resource::Cpu, PAC_CHILD_CPU_S_MAX),
        (Resource::Nofile, 0),
        (Resource::Nproc, 0),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ];
    for (resource, most) in limits {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}

fn say(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

fn read_line(input: &mut BufReader<Stdin>) -> io::Result<String> {
    let mut line = String::new();
    let most = u64::try_from(PAC_LINE_BYTES_MAX).unwrap_or(u64::MAX);
    input.by_ref().take(most).read_line(&mut line)?;
    match line.strip_suffix('\n') {
        Some(whole) => Ok(whole.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn read_question(input: &mut BufReader<Stdin>) -> io::Result<Question> {
    let line = read_line(input)?;
    let asked = pipe::read_question(&line);
    let (mut question, length) = asked.ok_or(io::ErrorKind::InvalidData)?;
    // As UTF-8 a script in an old encoding has up to twice its bytes.
    if length > 2 * PAC_SCRIPT_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut script = vec![0; length];
    input.read_exact(&mut script)?;
    let script = String::from_utf8(script).map_err(|_bad| io::ErrorKind::InvalidData)?;
    question.script = script.into();
    Ok(question)
}

fn look_up(name: &str, input: &RefCell<BufReader<Stdin>>) -> Option<Vec<IpAddr>> {
    // Only a host name can become a line.
    let name = match Host::parse(name).ok()? {
        Host::Address(address) => return Some(vec![address]),
        Host::Name(name) => name,
    };
    say(&format!("lookup {name}\n")).ok()?;
    let line = read_line(&mut input.borrow_mut()).ok()?;
    pipe::read_found(&line)
}
