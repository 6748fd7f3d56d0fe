//! What the machine has to offer, and what is asked of it: file systems made, mounted and unmounted.
//!
//! Everything happens in a mount namespace of its own, which ends with its last process: whatever becomes of a run, no
//! mount and no loop device is left behind.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::super::store_explorer::image::Image;
use super::fuse::{Recording, serve};

const PROGRAMS: [&str; 4] = ["unshare", "mount", "umount", "mkfs.ext4"];
/// Large enough for the largest workload and a journal, small enough to be written for every cut.
const DISK_BYTES: u64 = 48 * 1024 * 1024;
const BLOCK_BYTES: usize = 4096;
/// The smallest journal that ext4 takes, so that it wraps.
const JOURNAL_MIB: &str = "size=4";

/// What ext4 does with file contents: the kernel's default first.
pub const DATA_MODES: [&str; 3] = ["data=ordered", "data=writeback", "data=journal"];

/// Says why power cannot be cut on this machine.
pub fn lacks() -> Option<String> {
    let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !root {
        return Some("needs root, to mount".to_owned());
    }
    for device in ["/dev/fuse", "/dev/loop-control"] {
        let opened = File::options().read(true).write(true).open(device);
        if let Err(error) = opened {
            return Some(format!("{device}: {error}"));
        }
    }
    for program in PROGRAMS {
        if let Err(error) = Command::new(program).arg("--version").output() {
            return Some(format!("{program}: {error}"));
        }
    }
    run("unshare", &["-m", "true"]).err()
}

/// Says why nothing can be mounted, inside of a namespace: some machines have the devices and forbid their use.
pub fn forbids(folder: &Path) -> Option<String> {
    let recording = Recording::over(make_file_system(folder), false);
    let (disk, place) = (folder.join("disk"), folder.join("place"));
    let recorded = RecordedFile::mount(&disk, Arc::new(recording));
    let tried = recorded.and_then(|recorded| {
        let mounted = Mounted::mount(&disk, &place, DATA_MODES[0])?;
        drop(mounted);
        drop(recorded);
        Ok(())
    });
    tried.err()
}

/// Goes on as the same program in a mount namespace of its own; returns only where that fails.
pub fn enter_namespace(arguments: &[&str]) -> std::io::Error {
    match std::env::current_exe() {
        Ok(program) => Command::new("unshare")
            .args(["-m", "--propagation", "private"])
            .arg(program)
            .args(arguments)
            .exec(),
        Err(error) => error,
    }
}

/// Runs a program to its end; an error quotes what it said.
pub fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {arguments:?}: {}", said.trim()))
}

/// Makes an ext4 in a file and returns its bytes.
pub fn make_file_system(folder: &Path) -> Image {
    let file = folder.join("empty");
    File::create(&file).unwrap().set_len(DISK_BYTES).unwrap();
    let options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
    let name = file.to_str().unwrap();
    run(
        "mkfs.ext4",
        &["-q", "-F", "-J", JOURNAL_MIB, "-E", options, name],
    )
    .unwrap();
    let image = Image::from(fs::read(&file).unwrap());
    fs::remove_file(&file).unwrap();
    image
}

/// Writes an image into a file, what is zero as holes.
pub fn write_image(image: &Image, file: &Path) {
    use std::os::unix::fs::FileExt;
    let out = File::create(file).unwrap();
    out.set_len(image.length() as u64).unwrap();
    let mut block = [0; BLOCK_BYTES];
    for at in (0..image.length()).step_by(BLOCK_BYTES) {
        assert!(image.read(at, &mut block), "the image is whole blocks");
        if block != [0; BLOCK_BYTES] {
            out.write_all_at(&block, at as u64).unwrap();
        }
    }
}

/// An ext4 that is mounted from a file; unmounted with the value.
///
/// Lazily: a process that another thread is just starting may hold a file open for a moment. The last to let go unmounts.
#[derive(Debug)]
pub struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    pub fn mount(file: &Path, on: &'a Path, data_mode: &str) -> Result<Self, String> {
        fs::create_dir_all(on).map_err(|error| error.to_string())?;
        let options = format!("loop,noatime,nodiscard,{data_mode}");
        let (file, place) = (file.to_str().unwrap(), on.to_str().unwrap());
        run("mount", &["-t", "ext4", "-o", &options, file, place])?;
        Ok(Self(on))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let unmounted = run("umount", &["-l", self.0.to_str().unwrap()]);
        assert!(unmounted.is_ok() || thread::panicking(), "{unmounted:?}");
    }
}

/// A file whose bytes are a [`Recording`]; unmounted with the value.
#[derive(Debug)]
pub struct RecordedFile<'a> {
    file: &'a Path,
    server: Option<JoinHandle<()>>,
}

impl<'a> RecordedFile<'a> {
    pub fn mount(file: &'a Path, recording: Arc<Recording>) -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        File::create(file).map_err(text)?;
        let fuse = File::options().read(true).write(true).open("/dev/fuse");
        let device = fuse.map_err(text)?;
        let output = Command::new("mount")
            .args(["-i", "-t", "fuse", "-o"])
            .arg("fd=0,rootmode=100000,user_id=0,group_id=0")
            .arg("power")
            .arg(file)
            .stdin(device.try_clone().map_err(text)?)
            .output()
            .map_err(text)?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        let server = thread::spawn(move || serve(device, &recording));
        Ok(Self {
            file,
            server: Some(server),
        })
    }
}

impl Drop for RecordedFile<'_> {
    fn drop(&mut self) {
        // Lazily: the loop device lets go of the file when its file system is unmounted; the server ends then.
        let unmounted = run("umount", &["-l", self.file.to_str().unwrap()]);
        if thread::panicking() {
            return;
        }
        unmounted.unwrap();
        if let Some(server) = self.server.take() {
            server.join().unwrap();
        }
    }
}
