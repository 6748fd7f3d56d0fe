//! Finds the files of the repository: what is committed, and what could be when there is no Git.
//!
//! A file that somebody has not committed yet is nobody's business. Refuses to read what is built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 6] = [
    "target",
    ".git",
    ".cache",
    "node_modules",
    "__pycache__",
    "artifacts",
];

/// Returns the folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the workspace").to_path_buf()
}

/// Returns every file below a folder of the workspace, sorted, whose name ends so.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    static ALL: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let below = root().join(folder);
    let all = ALL.get_or_init(|| committed().unwrap_or_else(walked));
    let is_wanted = |file: &&PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        file.starts_with(&below) && name.ends_with(ending)
    };
    all.iter().filter(is_wanted).cloned().collect()
}

/// Asks Git; `None` in a tree without it, such as an unpacked archive.
fn committed() -> Option<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .ok()
        .filter(|output| output.status.success() && !output.stdout.is_empty())?;
    let names = String::from_utf8(output.stdout).expect("names in UTF-8");
    let files = names.split_terminator('\0').map(|name| root().join(name));
    let mut found: Vec<_> = files.filter(|file| file.is_file()).collect();
    found.sort();
    Some(found)
}

fn walked() -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&root(), &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if !path.is_dir() {
            found.push(path);
        } else if !SKIPPED.contains(&&*entry.file_name().to_string_lossy()) {
            collect(&path, found);
        }
    }
}

/// Reads a text file; other files are `None`.
pub(crate) fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// Reads a text file by its name below the workspace.
pub(crate) fn text_of(name: &str) -> String {
    text(&root().join(name)).unwrap_or_else(|| panic!("{name} cannot be read"))
}

/// Names a file relative to the workspace.
pub(crate) fn name(path: &Path) -> String {
    let below = path.strip_prefix(root()).unwrap_or(path);
    below.display().to_string()
}

/// One line of a source file.
pub(crate) struct Line {
    pub(crate) file: String,
    pub(crate) at: usize,
    pub(crate) text: String,
}

impl Line {
    /// Says where the line stands and what it says.
    pub(crate) fn shown(&self) -> String {
        format!("{}:{}: {}", self.file, self.at, self.text.trim())
    }

    /// True for a line that is only a comment or documentation.
    pub(crate) fn is_comment(&self) -> bool {
        self.text.trim_start().starts_with("//")
    }
}

/// Returns the lines of every Rust file of a folder.
pub(crate) fn lines(folder: &str) -> Vec<Line> {
    let mut found = Vec::new();
    for file in files(folder, ".rs") {
        let content = text(&file).expect("a source file");
        found.extend(content.lines().enumerate().map(|(at, line)| Line {
            file: name(&file),
            at: at + 1,
            text: line.to_owned(),
        }));
    }
    found
}

/// True for a file that only tests compile.
pub(crate) fn is_test(file: &str) -> bool {
    let is_folder = |part: &str| part == "tests" || part == "testing" || part == "lab";
    file.split('/').any(is_folder) || file.ends_with("/tests.rs")
}

/// Fails with every finding at once; the rule says what to do.
pub(crate) fn report(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}
