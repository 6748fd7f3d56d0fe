//! The JavaScript engine: one script, one question, one text, within hard bounds.
//!
//! QuickJS behind `rquickjs`, with the smallest set of built-ins that PAC scripts use: no modules, no
//! timers, no typed arrays, no files, no network. Time, memory and stack are bounded from inside.
//! A few loops of the engine's own C code never look at the clock: only a process of its own
//! bounds those, see [`super::process`].

use super::builtins;
use super::evaluate::Question;
use super::fault::PacFault;
use crate::clock::Stopwatch;
use crate::foreign::Foreign;
use crate::limits::{
    PAC_EVALUATION, PAC_MEMORY_BYTES_MAX, PAC_RESULT_BYTES_MAX, PAC_STACK_BYTES_MAX,
};
use rquickjs::context::intrinsic::{
    Date, Eval, Json, MapSet, Promise, Proxy, RegExp, RegExpCompiler,
};
use rquickjs::function::Func;
use rquickjs::{Context, Ctx, Error, Function, Object, Runtime, Value};
use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

/// Finds the addresses of a name while the script waits.
pub(crate) type LookUp = Box<dyn FnMut(&str) -> Vec<IpAddr>>;

const PRELUDE: &str = include_str!("prelude.js");

/// Asks a script once. Waiting for names does not count against its time.
pub(crate) fn run(question: &Question, look_up: LookUp) -> Result<String, PacFault> {
    let runtime = Runtime::new().map_err(|_full| PacFault::Memory)?;
    runtime.set_memory_limit(PAC_MEMORY_BYTES_MAX);
    runtime.set_max_stack_size(PAC_STACK_BYTES_MAX);
    let clock = Stopwatch::start();
    let waited = Rc::new(Cell::new(Duration::ZERO));
    let is_late = {
        let waited = Rc::clone(&waited);
        move || clock.elapsed().saturating_sub(waited.get()) >= PAC_EVALUATION
    };
    let interrupt = is_late.clone();
    runtime.set_interrupt_handler(Some(Box::new(interrupt)));
    let context = Context::custom::<(
        Date,
        Eval,
        RegExpCompiler,
        RegExp,
        Json,
        Proxy,
        MapSet,
        Promise,
    )>(&runtime)
    .map_err(|_full| PacFault::Memory)?;
    let look_up = timed(look_up, clock, waited);
    context.with(|ctx| {
        let answer = prepare(&ctx, question, look_up).and_then(|()| ask(&ctx, question));
        answer.map_err(|end| match end {
            End::Fault(fault) => fault,
            End::Engine(_) if is_late() => PacFault::Slow,
            End::Engine(error) => explain(&ctx, &error),
        })
    })
}

/// Why there is no text.
enum End {
    Fault(PacFault),
    Engine(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

fn timed(mut look_up: LookUp, clock: Stopwatch, waited: Rc<Cell<Duration>>) -> LookUp {
    Box::new(move |name| {
        let before = clock.elapsed();
        let found = look_up(name);
        waited.set(waited.get() + clock.elapsed().saturating_sub(before));
        found
    })
}

/// Gives the script its functions.
fn prepare(ctx: &Ctx<'_>, question: &Question, look_up: LookUp) -> Result<(), End> {
    let look_up = RefCell::new(look_up);
    let resolve = move |name: String| match look_up.try_borrow_mut() {
        Ok(mut look_up) => builtins::join(&look_up(&name)),
        Err(_nested) => String::new(),
    };
    let own = builtins::join(&question.own);
    #[expect(
        clippy::cast_precision_loss,
        reason = "JavaScript counts milliseconds in doubles"
    )]
    let now = question.now_ms.map(|ms| ms as f64);
    let native = Object::new(ctx.clone())?;
    native.set("resolve", Func::from(resolve))?;
    native.set("own", Func::from(move || own.clone()))?;
    native.set("now", Func::from(move || now))?;
    native.set(
        "glob",
        Func::from(|text: String, pattern: String| builtins::glob(&text, &pattern)),
    )?;
    native.set(
        "inNet",
        Func::from(|address: String, network: String, mask: String| {
            builtins::in_net(&address, &network, &mask)
        }),
    )?;
    native.set(
        "inPrefix",
        Func::from(|address: String, prefix: String| builtins::in_prefix(&address, &prefix)),
    )?;
    native.set("sort", Func::from(|list: String| builtins::sort(&list)))?;
    let install: Function<'_> = ctx.eval(PRELUDE)?;
    install.call::<_, ()>((native,))?;
    Ok(())
}

fn ask(ctx: &Ctx<'_>, question: &Question) -> Result<String, End> {
    let mut options = rquickjs::context::EvalOptions::default();
    // Old scripts assign to undeclared variables.
    options.strict = false;
    let _last: Value<'_> = ctx.eval_with_options(question.script.as_bytes(), options)?;
    let globals = ctx.globals();
    let named = |name: &str| globals.get::<_, Value<'_>>(name);
    let function = match named("FindProxyForURL")?.into_function() {
        Some(function) => Some(function),
        None => named("FindProxyForURLEx")?.into_function(),
    };
    let function = function.ok_or(End::Fault(PacFault::NoFunction))?;
    let answer: Value<'_> = function.call((question.url.as_str(), question.host.as_str()))?;
    let Some(answer) = answer.as_string() else {
        return Err(End::Fault(PacFault::NotText));
    };
    let mut answer = answer.to_string()?;
    // The reader takes less; one byte more tells it that there was more.
    let mut end = PAC_RESULT_BYTES_MAX + 1;
    while end < answer.len() && !answer.is_char_boundary(end) {
        end += 1;
    }
    answer.truncate(end);
    Ok(answer)
}

fn explain(ctx: &Ctx<'_>, error: &Error) -> PacFault {
    if !matches!(error, Error::Exception) {
        return PacFault::Threw {
            reason: Foreign::new(error.to_string().as_bytes()),
        };
    }
    let thrown = ctx.catch();
    // Without memory there is no exception object either.
    if thrown.is_null() {
        return PacFault::Memory;
    }
    let message = match thrown.as_exception() {
        Some(exception) => exception.message().unwrap_or_default(),
        None => format!("a {} was thrown", thrown.type_name()),
    };
    if message == "out of memory" {
        return PacFault::Memory;
    }
    PacFault::Threw {
        reason: Foreign::new(message.as_bytes()),
    }
}
