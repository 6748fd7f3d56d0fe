//! Writes the text of a file with a switch at each place.
//!
//! Each replacement stands between marks, so that a message of the compiler leads back to the mutant that it is about.

use crate::listing::{Genre, Mutant};
use crate::sites::{Bytes, Shape, Site};

/// Above this many bytes operands are computed once and bound, instead of written once more for each mutant: places nest. Arbitrary.
const REPEATED_BYTES_MAX: usize = 400;

/// What is called to ask whether a mutant is on.
const SWITCH: &str = "crate::mutant_switch::on";

/// A place and those inside it.
struct Node {
    site: Site,
    inner: Vec<Node>,
}

/// Returns the text with all places switched.
pub(crate) fn weave(text: &str, mut sites: Vec<Site>) -> String {
    sites.sort_by_key(|site| (site.bytes.start, usize::MAX - site.bytes.end, site.rank()));
    let mut sites = sites.into_iter().peekable();
    let nodes = nest(&mut sites, text.len());
    stretch(text, &(0..text.len()), &nodes)
}

fn nest(sites: &mut std::iter::Peekable<std::vec::IntoIter<Site>>, end: usize) -> Vec<Node> {
    let mut nodes = Vec::new();
    while let Some(site) = sites.next_if(|site| site.bytes.end <= end) {
        let inner = nest(sites, site.bytes.end);
        nodes.push(Node { site, inner });
    }
    nodes
}

/// Writes a stretch, with the places inside it.
fn stretch(text: &str, bytes: &Bytes, nodes: &[Node]) -> String {
    let mut written = String::new();
    let mut at = bytes.start;
    for node in nodes
        .iter()
        .filter(|node| bytes.start <= node.site.bytes.start && node.site.bytes.end <= bytes.end)
    {
        written.push_str(&text[at..node.site.bytes.start]);
        written.push_str(&place(text, node));
        at = node.site.bytes.end;
    }
    written.push_str(&text[at..bytes.end]);
    written
}

fn marked(mutant: &Mutant, what: &str) -> String {
    format!("/*<{id}*/{what}/*{id}>*/", id = mutant.id)
}

fn on(mutant: &Mutant) -> String {
    format!("{SWITCH}({})", mutant.id)
}

fn place(text: &str, node: &Node) -> String {
    let site = &node.site;
    let first = site.mutants.first().map_or(0, |mutant| mutant.id);
    let written = match &site.shape {
        Shape::Const => return String::new(),
        Shape::Body { is_iterator: true } => return iterator(text, node),
        Shape::Body { is_iterator: false } => return body(text, node),
        Shape::Binary {
            left,
            operator,
            right,
        } => {
            let (left, right) = (
                stretch(text, left, &node.inner),
                stretch(text, right, &node.inner),
            );
            binary(&site.mutants, &left, operator, &right)
        }
        Shape::Unary { operator, operand } => unary(
            &site.mutants,
            operator,
            &stretch(text, operand, &node.inner),
        ),
        Shape::Arm { pattern, guard } => {
            let pattern = text[pattern.clone()].to_owned();
            arm(
                &site.mutants,
                &pattern,
                guard
                    .as_ref()
                    .map(|guard| stretch(text, guard, &node.inner)),
            )
        }
    };
    format!("/*[{first}*/{written}/*{first}]*/")
}

fn body(text: &str, node: &Node) -> String {
    let site = &node.site;
    let first = site.mutants.first().map_or(0, |mutant| mutant.id);
    let mut written = format!("/*[{first}*/");
    for mutant in &site.mutants {
        written.push_str(&format!(
            "if {} {{ return {}; }} ",
            on(mutant),
            marked(mutant, &mutant.replacement)
        ));
    }
    written.push_str(&format!("/*{first}]*/"));
    written.push_str(&stretch(text, &site.bytes, &node.inner));
    written
}

/// Writes an iterator that has one type, whatever is on: nothing of it is left, or one thing is put in its place.
fn iterator(text: &str, node: &Node) -> String {
    let site = &node.site;
    let first = site.mutants.first().map_or(0, |mutant| mutant.id);
    let all_off: Vec<String> = site
        .mutants
        .iter()
        .map(|mutant| format!("!{}", on(mutant)))
        .collect();
    let mut written = format!(
        "/*[{first}*/({{ {} }}).filter(|_| {})",
        stretch(text, &site.bytes, &node.inner),
        all_off.join(" && ")
    );
    for mutant in &site.mutants {
        if let Some(one) = mutant.replacement.strip_prefix("::core::iter::once(") {
            let one = marked(mutant, &format!("Some({one}"));
            written.push_str(&format!(
                ".chain(if {} {{ {one} }} else {{ None }})",
                on(mutant)
            ));
        }
    }
    format!("{written}/*{first}]*/")
}

fn binary(mutants: &[Mutant], left: &str, operator: &str, right: &str) -> String {
    if let ("&&" | "||", [mutant]) = (operator, mutants) {
        // Either asks its right side for one answer of its left side: which one is what the mutant turns.
        let asks = if operator == "&&" { "!=" } else { "==" };
        return format!(
            "(match ({left}) {{ mutant_left => if mutant_left {asks} {} {{ {right} }} else {{ mutant_left }} }})",
            on(mutant)
        );
    }
    let is_comparison = matches!(operator, "==" | "!=" | "<" | ">" | "<=" | ">=");
    let is_assignment = operator.ends_with('=') && !is_comparison;
    if left.len() + right.len() > REPEATED_BYTES_MAX && !is_assignment {
        let lent = if is_comparison { "&" } else { "" };
        return format!(
            "(match ({lent}({left}), {lent}({right})) {{ (mutant_left, mutant_right) => {} }})",
            chosen(mutants, "mutant_left", operator, "mutant_right")
        );
    }
    format!("({})", chosen(mutants, left, operator, right))
}

fn chosen(mutants: &[Mutant], left: &str, operator: &str, right: &str) -> String {
    let mut written = String::new();
    for mutant in mutants {
        let changed = marked(mutant, &format!("{left} {} {right}", mutant.replacement));
        written.push_str(&format!("if {} {{ {changed} }} else ", on(mutant)));
    }
    format!("{written}{{ {left} {operator} {right} }}")
}

fn unary(mutants: &[Mutant], operator: &str, operand: &str) -> String {
    let [mutant] = mutants else {
        return format!("{operator}{operand}");
    };
    if operator == "!" {
        return format!("(({operand}) == {})", on(mutant));
    }
    let changed = marked(mutant, operand);
    format!(
        "(if {} {{ {changed} }} else {{ {operator}{operand} }})",
        on(mutant)
    )
}

fn arm(mutants: &[Mutant], pattern: &str, guard: Option<String>) -> String {
    let of = |genre: Genre, replacement: &str| {
        mutants
            .iter()
            .find(|it| it.genre == genre && it.replacement == replacement)
    };
    let mut asked = guard.map(|guard| format!("({guard})"));
    if let (Some(never), Some(guard)) = (of(Genre::Guard, "false"), &asked) {
        asked = Some(format!("(!{} && {guard})", on(never)));
    }
    if let (Some(always), Some(guard)) = (of(Genre::Guard, "true"), &asked) {
        asked = Some(format!("({} || {guard})", on(always)));
    }
    if let Some(gone) = of(Genre::Arm, "") {
        let kept = format!("!{}", on(gone));
        asked = Some(asked.map_or_else(|| kept.clone(), |guard| format!("{kept} && {guard}")));
    }
    asked.map_or_else(
        || pattern.to_owned(),
        |guard| format!("{pattern} if {guard}"),
    )
}
