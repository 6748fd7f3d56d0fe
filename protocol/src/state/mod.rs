//! The state of a plane: a flat map from path to value, its digest, and the ways to change it.
//!
//! ```text
//!  payload --DeltaView::decode--> DeltaView --State::apply_view--> State (a new one, or a reject)
//!  SectionTable + bodies --SnapshotAssembly--> State        [Change] --State::change--> State + Delta
//! ```
//!
//! Every state that exists is valid: paths, values, conflicts and limits were checked on the way in.
//! A change makes a new state that shares every untouched section with the old one.
//! Refuses to know who signed a change or whether it is the next one.

mod apply;
mod assembly;
mod delta;
mod document;
mod edit;
mod hash;
mod path;
mod section;
mod snapshot;
#[cfg(test)]
mod tests;
mod value;

pub use apply::Change;
pub use assembly::SnapshotAssembly;
pub use delta::{Delta, DeltaView};
pub use document::State;
pub use edit::{Edit, EditView, Run};
pub use path::{Path, check_path};
pub use section::{SectionName, check_body};
pub use snapshot::SectionTable;
pub use value::{Finite, Integer, Reference, ReferenceView, Value, ValueView};
