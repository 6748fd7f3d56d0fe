//! Power cuts below a real file system: what the store, ext4 and the kernel make of it together.
//!
//! ```text
//!  recorder (a process): DiskStore ── ext4 ── loop device ── FUSE file ──▶ server (this process)
//!          │ "acknowledged"                                                │ every write and flush
//!          └────────────────────────────▶ one list of events ◀────────────┘
//!  a cut: what was flushed + a part of what was not ──▶ mount ──▶ open ──▶ model and rules of the explorer
//! ```
//!
//! The drive is the explorer's: whole writes or blocks of 4 KiB of the unflushed rest arrive, in any order. Sectors of 512
//! bytes are not torn apart here: ext4 itself does not promise to survive that. What the recorder had acknowledged, or shown
//! by opening, is what no later start may lack. The next life of the recorder begins with what one of the cuts left, so
//! recoveries of store and journal are cut, too.

pub mod cuts;
pub mod fuse;
pub mod machine;
pub mod recorder;
pub mod round;
pub mod tally;
