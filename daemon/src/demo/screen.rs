//! Where the demo speaks: sentences that stay, and one table under them.
//!
//! ```text
//!   terminal: sentences scroll up, the table below them is redrawn in place
//!   pipe:     sentences, and the table once after each step
//!   --json:   sentences on standard error, nothing else
//! ```
//!
//! Refuses to fail: a reader that has gone away does not end the demo.

use super::table::{self, Row};
use std::io::{self, IsTerminal as _, Write as _};

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// A person at a terminal.
    Terminal,
    /// A file or a pipe.
    Pipe,
    /// A program that wants the object at the end only.
    Program,
}

impl Audience {
    /// Finds out who reads.
    pub(super) fn of(is_json: bool) -> Self {
        match (is_json, io::stdout().is_terminal()) {
            (true, _) => Self::Program,
            (false, true) => Self::Terminal,
            (false, false) => Self::Pipe,
        }
    }
}

/// What is on the screen.
#[derive(Debug)]
pub(super) struct Screen {
    audience: Audience,
    /// Lines of the table that a terminal shows at its end.
    drawn: usize,
}

impl Screen {
    /// Starts with nothing drawn.
    pub(super) const fn new(audience: Audience) -> Self {
        Self { audience, drawn: 0 }
    }

    /// Says a sentence that stays. A terminal loses the table until it is drawn again.
    pub(super) fn say(&mut self, sentence: &str) {
        match self.audience {
            Audience::Terminal => {
                let text = format!("{}{sentence}\n", erase(self.drawn));
                self.drawn = 0;
                print(&text);
            }
            Audience::Pipe => print(&format!("{sentence}\n")),
            Audience::Program => {
                let _closed = writeln!(io::stderr().lock(), "{sentence}");
            }
        }
    }

    /// Redraws the table of a terminal; others wait for [`Self::settle`].
    pub(super) fn draw(&mut self, rows: &[Row]) {
        match self.audience {
            Audience::Terminal => {
                let lines = table::render(rows);
                let text = format!("{}{}", erase(self.drawn), unwrapped(&lines));
                self.drawn = lines.len();
                print(&text);
            }
            Audience::Pipe | Audience::Program => {}
        }
    }

    /// Shows the table at the end of a step, for it to stay.
    pub(super) fn settle(&mut self, rows: &[Row]) {
        match self.audience {
            Audience::Terminal => {
                self.draw(rows);
            }
            Audience::Pipe => print(&format!("{}\n", table::render(rows).join("\n"))),
            Audience::Program => {}
        }
    }

    /// Leaves what is drawn and goes on below it.
    pub(super) const fn leave(&mut self) {
        self.drawn = 0;
    }
}

/// Goes back over `lines` lines and clears them (ECMA-48 CPL and ED).
fn erase(lines: usize) -> String {
    match lines {
        0 => String::new(),
        1.. => format!("\x1b[{lines}F\x1b[J"),
    }
}

/// Lets a narrow terminal cut lines off instead of wrapping them (DECAWM), so that they stay countable.
fn unwrapped(lines: &[String]) -> String {
    format!("\x1b[?7l{}\n\x1b[?7h", lines.join("\n"))
}

fn print(text: &str) {
    let mut output = io::stdout().lock();
    let _closed = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
}

/// Writes one line to standard output, whoever reads.
pub(super) fn print_line(line: &str) {
    print(&format!("{line}\n"));
}

#[cfg(test)]
mod tests {
    use super::{Audience, Screen, erase};
    use crate::demo::table::Row;

    #[test]
    fn erase_goes_back_exactly_over_the_table() {
        for (lines, expected) in [(0, ""), (1, "\x1b[1F\x1b[J"), (4, "\x1b[4F\x1b[J")] {
            assert_eq!(erase(lines), expected);
        }
    }

    #[test]
    fn screen_of_a_program_never_remembers_a_table() {
        let mut screen = Screen::new(Audience::Program);
        screen.draw(&[Row::default()]);
        screen.settle(&[Row::default()]);
        assert_eq!(screen.drawn, 0);
    }

    #[test]
    fn audience_of_json_is_a_program() {
        assert_eq!(Audience::of(true), Audience::Program);
    }
}
