//! The parent's side: a process for each evaluation, killed at its deadline.
//!
//! ```text
//!   start --ready--> ask --lookup/found--> text
//!     |                |                     |
//!     +---- any deadline: SIGKILL, reaped ---+
//! ```
//!
//! The engine is C and the script is a stranger's: neither ever lies in the memory that holds keys.
//! Evaluations are rare (a target, a few times an hour), so nothing is kept running. Refuses to
//! believe a child beyond the words of [`super::pipe`].

use super::evaluate::{Evaluate, Evaluation, Lookups, Question};
use super::fault::PacFault;
use super::pipe::{self, Word};
use crate::limits::{
    PAC_CHILD_START, PAC_EVALUATION, PAC_KILL_GRACE, PAC_LINE_BYTES_MAX, PAC_RESULT_BYTES_MAX,
};
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout, timeout_at};

/// Evaluates in a process that runs [`super::serve_child`].
#[derive(Clone, Debug)]
pub struct ProcessEvaluator {
    program: PathBuf,
    arguments: Vec<OsString>,
}

struct Talk {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl ProcessEvaluator {
    /// Starts this program with these arguments for each evaluation.
    #[must_use]
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        Self { program, arguments }
    }

    /// Starts the running program itself with one argument, even after its file was replaced.
    #[must_use]
    pub fn of_this_program(argument: &str) -> Self {
        Self::new(PathBuf::from("/proc/self/exe"), vec![argument.into()])
    }

    fn start(&self) -> io::Result<Talk> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(crate::environment::time_zone())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let input = child.stdin.take().ok_or(ErrorKind::BrokenPipe)?;
        let output = child.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
        Ok(Talk {
            child,
            input,
            output: BufReader::new(output),
        })
    }
}

impl Evaluate for ProcessEvaluator {
    fn evaluate(&self, question: Question, mut lookups: Lookups) -> Evaluation<'_> {
        Box::pin(async move {
            let mut talk = self.start().map_err(|error| broken(&error))?;
            let answer = talk.hold(&question, &mut lookups).await;
            // Ended or not: this very child, and no zombie of it.
            let _ended = talk.child.kill().await;
            answer
        })
    }
}

impl Talk {
    async fn hold(
        &mut self,
        question: &Question,
        lookups: &mut Lookups,
    ) -> Result<String, PacFault> {
        match timeout(PAC_CHILD_START, self.hear()).await {
            Ok(Ok(Word::Ready)) => {}
            Ok(Ok(_other)) => return Err(broken(&ErrorKind::InvalidData.into())),
            Ok(Err(error)) => return Err(broken(&error)),
            Err(_elapsed) => return Err(broken(&ErrorKind::TimedOut.into())),
        }
        let mut deadline = Instant::now() + PAC_EVALUATION + PAC_KILL_GRACE;
        match timeout_at(deadline, self.ask(question)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(broken(&error)),
            Err(_elapsed) => return Err(PacFault::Slow),
        }
        loop {
            let word = match timeout_at(deadline, self.hear()).await {
                Ok(Ok(word)) => word,
                Ok(Err(error)) => return Err(broken(&error)),
                Err(_elapsed) => return Err(PacFault::Slow),
            };
            if let Word::LookUp(name) = &word {
                let asked = Instant::now();
                let found = pipe::write_found(&lookups.addresses(name).await);
                deadline += asked.elapsed();
                match timeout_at(deadline, self.input.write_all(found.as_bytes())).await {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => return Err(broken(&error)),
                    Err(_elapsed) => return Err(PacFault::Slow),
                }
            }
            let text = match timeout_at(deadline, self.take(word.follows())).await {
                Ok(Ok(text)) => text,
                Ok(Err(error)) => return Err(broken(&error)),
                Err(_elapsed) => return Err(PacFault::Slow),
            };
            let settled = word.settle(text);
            return settled.unwrap_or_else(|| Err(broken(&ErrorKind::InvalidData.into())));
        }
    }

    async fn ask(&mut self, question: &Question) -> io::Result<()> {
        let line = pipe::write_question(question);
        self.input.write_all(line.as_bytes()).await?;
        self.input.write_all(question.script.as_bytes()).await?;
        self.input.flush().await
    }

    async fn hear(&mut self) -> io::Result<Word> {
        let mut line = Vec::new();
        let most = u64::try_from(PAC_LINE_BYTES_MAX).unwrap_or(u64::MAX);
        let mut bounded = (&mut self.output).take(most);
        bounded.read_until(b'\n', &mut line).await?;
        let whole = line.strip_suffix(b"\n").ok_or(ErrorKind::UnexpectedEof)?;
        let text = std::str::from_utf8(whole).map_err(|_bad| ErrorKind::InvalidData)?;
        Word::parse(text).ok_or_else(|| ErrorKind::InvalidData.into())
    }

    async fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        // A cut at a character's border may add three bytes.
        if length > PAC_RESULT_BYTES_MAX + 4 {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut text = vec![0; length];
        self.output.read_exact(&mut text).await?;
        Ok(text)
    }
}

fn broken(error: &io::Error) -> PacFault {
    PacFault::Child { kind: error.kind() }
}
