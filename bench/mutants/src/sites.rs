//! Finds, in the text of one file, where each mutant stands and what it stands in.
//!
//! Refuses what cannot hold a switch: constants, functions that must stay const, and the operators of a chain with `let`.

use crate::listing::{Genre, Mutant};
use proc_macro2::{LineColumn, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A stretch of the file's text, in bytes.
pub(crate) type Bytes = Range<usize>;

/// What a place offers to be changed.
pub(crate) enum Shape {
    /// The statements of a function; whether it gives an iterator without naming its type.
    Body { is_iterator: bool },
    /// `left operator right`.
    Binary {
        left: Bytes,
        operator: String,
        right: Bytes,
    },
    /// `operator operand`.
    Unary { operator: String, operand: Bytes },
    /// `pattern` or `pattern if guard`, the whole of it up to the arrow.
    Arm {
        pattern: Bytes,
        guard: Option<Bytes>,
    },
    /// The word `const` before `fn`, which is left out: a switch is no constant.
    Const,
}

/// A place with its mutants.
pub(crate) struct Site {
    pub(crate) bytes: Bytes,
    pub(crate) shape: Shape,
    pub(crate) mutants: Vec<Mutant>,
}

impl Site {
    /// Orders places that begin and end alike: the outer first.
    pub(crate) const fn rank(&self) -> u8 {
        match self.shape {
            Shape::Const => 0,
            Shape::Body { .. } => 1,
            Shape::Arm { .. } => 2,
            Shape::Binary { .. } | Shape::Unary { .. } => 3,
        }
    }
}

struct Finder<'a> {
    at: BTreeMap<(usize, usize), Vec<Mutant>>,
    /// Functions that constants call, as `Type::name` or `name`.
    kept_const: &'a BTreeSet<String>,
    /// The type whose functions are looked at.
    owner: Option<String>,
    /// How many constants are around.
    constant: usize,
    found: Vec<Site>,
    /// Mutants that no compiler takes: an operator of a chain with `let` has no other.
    impossible: Vec<Mutant>,
}

/// What became of a file's mutants.
pub(crate) struct Found {
    pub(crate) sites: Vec<Site>,
    /// Those that stand where no switch can.
    pub(crate) placeless: Vec<Mutant>,
    /// Those that no compiler takes.
    pub(crate) impossible: Vec<Mutant>,
}

fn position(at: LineColumn) -> (usize, usize) {
    (at.line, at.column + 1)
}

impl Finder<'_> {
    /// Takes the mutants that begin at a place.
    fn take(&mut self, at: LineColumn, genres: &[Genre]) -> Vec<Mutant> {
        if self.constant > 0 {
            return Vec::new();
        }
        let Some(all) = self.at.get_mut(&position(at)) else {
            return Vec::new();
        };
        let (taken, left) = std::mem::take(all)
            .into_iter()
            .partition(|it| genres.contains(&it.genre));
        *all = left;
        taken
    }

    fn push(&mut self, bytes: Bytes, shape: Shape, mutants: Vec<Mutant>) {
        if !mutants.is_empty() {
            self.found.push(Site {
                bytes,
                shape,
                mutants,
            });
        }
    }

    /// Looks at a function; returns whether it stays const, so that nothing in it is changed.
    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) -> bool {
        let name = signature.ident.to_string();
        let full = self
            .owner
            .as_ref()
            .map_or_else(|| name.clone(), |owner| format!("{owner}::{name}"));
        if let Some(token) = signature.constness {
            if self.kept_const.contains(&full) {
                return true;
            }
            self.found.push(Site {
                bytes: token.span.byte_range(),
                shape: Shape::Const,
                mutants: Vec::new(),
            });
        }
        if let (Some(first), Some(last)) = (block.stmts.first(), block.stmts.last()) {
            let mutants = self.take(first.span().start(), &[Genre::Body]);
            let bytes = first.span().byte_range().start..last.span().byte_range().end;
            let is_iterator = mutants
                .first()
                .is_some_and(|it| it.is_opaque && it.key.contains("-> impl Iterator"));
            self.push(bytes, Shape::Body { is_iterator }, mutants);
        }
        false
    }
}

fn has_let(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

fn bytes(span: Span) -> Bytes {
    span.byte_range()
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.constant += 1;
        visit::visit_item_const(self, item);
        self.constant -= 1;
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.constant += 1;
        visit::visit_impl_item_const(self, item);
        self.constant -= 1;
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.constant += 1;
        visit::visit_item_static(self, item);
        self.constant -= 1;
    }

    fn visit_type(&mut self, item: &'ast syn::Type) {
        self.constant += 1;
        visit::visit_type(self, item);
        self.constant -= 1;
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let syn::Type::Path(path) = &*item.self_ty else {
            return visit::visit_item_impl(self, item);
        };
        let before = self.owner.take();
        self.owner = path.path.segments.last().map(|last| last.ident.to_string());
        visit::visit_item_impl(self, item);
        self.owner = before;
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        let before = self.owner.take();
        let stays = usize::from(self.function(&item.sig, &item.block));
        self.constant += stays;
        visit::visit_item_fn(self, item);
        self.constant -= stays;
        self.owner = before;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        let stays = usize::from(self.function(&item.sig, &item.block));
        self.constant += stays;
        visit::visit_impl_item_fn(self, item);
        self.constant -= stays;
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_expr_binary(&mut self, expression: &'ast syn::ExprBinary) {
        let operator = expression.op.span();
        let mutants = self.take(operator.start(), &[Genre::Binary]);
        if has_let(&expression.left) || has_let(&expression.right) {
            self.impossible.extend(mutants);
        } else {
            let shape = Shape::Binary {
                left: bytes(expression.left.span()),
                operator: operator.source_text().unwrap_or_default(),
                right: bytes(expression.right.span()),
            };
            self.push(bytes(expression.span()), shape, mutants);
        }
        visit::visit_expr_binary(self, expression);
    }

    fn visit_expr_unary(&mut self, expression: &'ast syn::ExprUnary) {
        let operator = expression.op.span();
        let mutants = self.take(operator.start(), &[Genre::Unary]);
        let shape = Shape::Unary {
            operator: operator.source_text().unwrap_or_default(),
            operand: bytes(expression.expr.span()),
        };
        self.push(bytes(expression.span()), shape, mutants);
        visit::visit_expr_unary(self, expression);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let mut mutants = self.take(arm.span().start(), &[Genre::Arm]);
        let pattern = bytes(arm.pat.span());
        let guard = arm.guard.as_ref().map(|(_, guard)| guard);
        if let Some(guard) = guard {
            mutants.extend(self.take(guard.span().start(), &[Genre::Guard]));
        }
        let guard = guard.map(|guard| bytes(guard.span()));
        let end = guard.as_ref().map_or(pattern.end, |guard| guard.end);
        self.push(pattern.start..end, Shape::Arm { pattern, guard }, mutants);
        visit::visit_arm(self, arm);
    }
}

/// Finds the places of a file's mutants. # Errors: the text is no Rust.
pub(crate) fn find(
    text: &str,
    mutants: &[Mutant],
    kept_const: &BTreeSet<String>,
) -> syn::Result<Found> {
    let file = syn::parse_file(text)?;
    let mut at: BTreeMap<(usize, usize), Vec<Mutant>> = BTreeMap::new();
    for mutant in mutants {
        at.entry(mutant.start).or_default().push(mutant.clone());
    }
    let mut finder = Finder {
        at,
        kept_const,
        owner: None,
        constant: 0,
        found: Vec::new(),
        impossible: Vec::new(),
    };
    finder.visit_file(&file);
    let placeless = finder.at.into_values().flatten().collect();
    Ok(Found {
        sites: finder.found,
        placeless,
        impossible: finder.impossible,
    })
}
