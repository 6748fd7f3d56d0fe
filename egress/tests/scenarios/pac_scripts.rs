//! What hostile and odd PAC scripts do to their evaluation, on a thread of this process.
//!
//! The same scripts run in a process of their own in the tests of the `postern` program, with those
//! that only a process survives.

use crate::site::Names;
use postern_egress::limits::{PAC_LOOKUPS_MAX, PAC_RESULT_BYTES_MAX, PAC_SCRIPT_BYTES_MAX};
use postern_egress::pac::{Evaluate, LookupRule, Lookups, PacFault, Question, ThreadEvaluator};
use postern_egress::{Host, Resolve};
use std::sync::Arc;

fn question(script: &str) -> Question {
    Question {
        script: Arc::from(script),
        url: "https://controller.test/".to_owned(),
        host: "controller.test".to_owned(),
        own: vec![[10, 1, 2, 3].into()],
        // Sunday, 2026-11-29, 23:30:15 UTC.
        now_ms: Some(1_795_995_015_000),
    }
}

async fn asked(script: &str, names: &Arc<Names>, rule: LookupRule) -> Result<String, PacFault> {
    let lookups = Lookups::new(Arc::clone(names) as Arc<dyn Resolve>, rule);
    ThreadEvaluator.evaluate(question(script), lookups).await
}

/// Runs the body of `FindProxyForURL`, every lookup allowed.
async fn body(body: &str) -> Result<String, PacFault> {
    let script = format!("function FindProxyForURL(url, host) {{ {body} }}");
    asked(&script, &Arc::default(), LookupRule::All).await
}

#[tokio::test]
async fn a23_script_names_its_ways_in_order() {
    let list = "PROXY a:1; HTTPS b:2; DIRECT";
    let said = body(&format!("return '{list}'")).await;
    assert_eq!(said.as_deref(), Ok(list));
    let seen = body("return url + ' ' + host").await;
    assert_eq!(
        seen.as_deref(),
        Ok("https://controller.test/ controller.test")
    );
    let ex = "function FindProxyForURLEx(u, h) { return 'DIRECT' }";
    let said = asked(ex, &Arc::default(), LookupRule::All).await;
    assert_eq!(said.as_deref(), Ok("DIRECT"));
}

#[tokio::test]
async fn a23_scripts_that_do_not_end_are_stopped() {
    for script in [
        "for (;;) {}",
        "while (true) { try { for (;;) {} } catch (e) {} }",
        "return /^(a+)+$/.test('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!')",
        "return '' + [3, 2, 1].sort(function () { for (;;) {} })",
        "return '' + { toString: function () { for (;;) {} } }",
        "return new Proxy({}, { get: function () { for (;;) {} } }).x",
        "(function f() { try { f() } finally { f() } })()",
    ] {
        assert_eq!(body(script).await, Err(PacFault::Slow), "{script}");
    }
}

#[tokio::test]
async fn a23_script_that_never_ends_before_its_function_is_stopped() {
    let said = asked("for (;;) {}", &Arc::default(), LookupRule::All).await;
    assert_eq!(said, Err(PacFault::Slow));
}

#[tokio::test]
async fn a23_memory_bombs_are_stopped() {
    for script in [
        "var a = []; for (;;) a.push(new Array(1000).fill(1))",
        "var s = []; for (;;) s.push('x'.repeat(100000) + s.length)",
        "return 'x'.repeat(1 << 29)",
        "var o = {}; for (var i = 0; ; i++) o['k' + i] = 'x'.repeat(1000)",
        "return new Array(1e9).fill(0).length + ''",
    ] {
        let said = body(script).await.unwrap_err();
        // A slow machine may meet the other bound first.
        assert_eq!(said.code(), "PST-P24", "{script}: {said}");
    }
}

#[tokio::test]
async fn a23_recursion_is_an_exception_and_no_crash() {
    let deep = "function f() { return f() + 1 } return '' + f()";
    let nested = format!("return {}1{}", "(".repeat(50_000), ")".repeat(50_000));
    for script in [deep, nested.as_str()] {
        let said = body(script).await.unwrap_err();
        assert_eq!(said.code(), "PST-P23", "{said}");
    }
}

#[tokio::test]
async fn a23_scripts_that_fail_say_how() {
    let check = async |script: &str, code: &str, words: &str| {
        let said = asked(script, &Arc::default(), LookupRule::All).await;
        let said = said.unwrap_err();
        assert_eq!(said.code(), code, "{script}");
        assert!(said.to_string().contains(words), "{script}: {said}");
    };
    check("", "PST-P23", "no function").await;
    check("var FindProxyForURL = 1", "PST-P23", "no function").await;
    check("function (", "PST-P23", "function name").await;
    check("nowhere()", "PST-P23", "nowhere").await;
    let throwing = "function FindProxyForURL() { throw new Error('a\\u001b[31m') }";
    check(throwing, "PST-P23", "a\\x1b[31m").await;
    let plain = "function FindProxyForURL() { throw 7 }";
    check(plain, "PST-P23", "was thrown").await;
    for odd in [
        "null",
        "undefined",
        "1",
        "true",
        "['DIRECT']",
        "{}",
        "new String('DIRECT')",
    ] {
        let script = format!("function FindProxyForURL() {{ return {odd} }}");
        check(&script, "PST-P23", "else than a text").await;
    }
}

#[tokio::test]
async fn a23_largest_script_is_evaluated() {
    let head = "function FindProxyForURL() { return 'PROXY a:1' } //";
    let script = format!("{head}{}", "x".repeat(PAC_SCRIPT_BYTES_MAX - head.len()));
    let said = asked(&script, &Arc::default(), LookupRule::All).await;
    assert_eq!(said.as_deref(), Ok("PROXY a:1"));
    let hosts: String = (0..20_000).map(|n| format!("'h{n}.corp.test',")).collect();
    let script = format!(
        "var l = [{hosts}]; function FindProxyForURL(u, h) {{ return l.indexOf(h) < 0 ? 'PROXY a:1' : 'DIRECT' }}"
    );
    let said = asked(&script, &Arc::default(), LookupRule::All).await;
    assert_eq!(said.as_deref(), Ok("PROXY a:1"));
}

#[tokio::test]
async fn a23_answer_of_100_000_entries_is_cut() {
    let said = body("return 'PROXY a:1;'.repeat(100000)").await.unwrap();
    assert!(said.starts_with("PROXY a:1;"));
    assert_eq!(said.len(), PAC_RESULT_BYTES_MAX + 1);
    let said = body("return '\\u00e4'.repeat(100000)").await.unwrap();
    assert!(said.len() <= PAC_RESULT_BYTES_MAX + 4);
}

#[tokio::test]
async fn a23_script_finds_no_way_out_of_the_engine() {
    let names = "['std', 'os', 'print', 'console', 'require', 'process', 'setTimeout', 'fetch', \
                 'XMLHttpRequest', 'WebAssembly', 'Worker', 'load', 'native', 'scriptArgs', 'ArrayBuffer']";
    let script = format!(
        "return {names}.filter(function (n) {{ return typeof globalThis[n] !== 'undefined' }}).join()"
    );
    assert_eq!(body(&script).await.as_deref(), Ok(""));
    let module = body("import('x'); return 'DIRECT'").await;
    assert_eq!(module.as_deref(), Ok("DIRECT"));
    let own = "function isPlainHostName() { return 'mine' } \
               function FindProxyForURL() { return isPlainHostName('a.b') }";
    let said = asked(own, &Arc::default(), LookupRule::All).await;
    assert_eq!(said.as_deref(), Ok("mine"));
}

#[tokio::test]
async fn a23_functions_of_scripts_mean_what_they_always_meant() {
    let rows = [
        ("isPlainHostName('www')", "true"),
        ("isPlainHostName('www.corp.test')", "false"),
        ("dnsDomainIs('www.corp.test', '.corp.test')", "true"),
        ("dnsDomainIs('WWW.Corp.Test', '.corp.test')", "true"),
        ("dnsDomainIs('corp.test', '.corp.test')", "false"),
        ("localHostOrDomainIs('www', 'www.corp.test')", "true"),
        (
            "localHostOrDomainIs('www.corp.test', 'www.corp.test')",
            "true",
        ),
        (
            "localHostOrDomainIs('www.other.test', 'www.corp.test')",
            "false",
        ),
        ("dnsDomainLevels('www.corp.test')", "2"),
        (
            "shExpMatch('http://a.corp.test/x', '*.corp.test/*')",
            "true",
        ),
        ("shExpMatch('a', 'b')", "false"),
        ("isInNet('10.1.2.3', '10.0.0.0', '255.0.0.0')", "true"),
        ("isInNet('11.1.2.3', '10.0.0.0', '255.0.0.0')", "false"),
        ("isInNet('proxy.test', '127.0.0.0', '255.0.0.0')", "true"),
        ("isInNet('unknown.test', '0.0.0.0', '0.0.0.0')", "false"),
        ("isInNetEx('2001:db8::1', '2001:db8::/32')", "true"),
        ("isInNetEx('proxy.test', '10.0.0.0/8;127.0.0.0/8')", "true"),
        ("dnsResolve('proxy.test')", "127.0.0.1"),
        ("dnsResolve('unknown.test')", "null"),
        ("dnsResolve('10.9.8.7')", "10.9.8.7"),
        ("dnsResolveEx('two.test')", "127.0.0.2;127.0.0.1"),
        ("dnsResolveEx('unknown.test')", ""),
        ("isResolvable('proxy.test')", "true"),
        ("isResolvable('unknown.test')", "false"),
        ("isResolvableEx('proxy.test')", "true"),
        ("isResolvable('bad name\\nlookup x')", "false"),
        ("myIpAddress()", "10.1.2.3"),
        ("myIpAddressEx()", "10.1.2.3"),
        ("sortIpAddressList('10.0.0.2;::1')", "::1;10.0.0.2"),
        ("getClientVersion()", "1.0"),
        ("alert('x')", "undefined"),
    ];
    for (call, expected) in rows {
        let said = body(&format!("return '' + {call}")).await;
        assert_eq!(said.as_deref(), Ok(expected), "{call}");
    }
}

#[tokio::test]
async fn a23_times_and_dates_are_compared_in_the_asked_zone() {
    let rows = [
        ("weekdayRange('SUN', 'GMT')", "true"),
        ("weekdayRange('MON', 'FRI', 'GMT')", "false"),
        ("weekdayRange('SAT', 'MON', 'GMT')", "true"),
        ("weekdayRange('sun', 'gmt')", "true"),
        ("weekdayRange('XYZ')", "false"),
        ("weekdayRange('SUN', 'SAT')", "true"),
        ("dateRange(29, 'GMT')", "true"),
        ("dateRange(28, 'GMT')", "false"),
        ("dateRange(28, 30, 'GMT')", "true"),
        ("dateRange('NOV', 'GMT')", "true"),
        ("dateRange('DEC', 'FEB', 'GMT')", "false"),
        ("dateRange('OCT', 'JAN', 'GMT')", "true"),
        ("dateRange(2026, 'GMT')", "true"),
        ("dateRange(2020, 2025, 'GMT')", "false"),
        ("dateRange(1, 'NOV', 30, 'NOV', 'GMT')", "true"),
        ("dateRange(1, 'DEC', 1, 'FEB', 'GMT')", "false"),
        ("dateRange('OCT', 2026, 'DEC', 2026, 'GMT')", "true"),
        ("dateRange(1, 'JAN', 2026, 1, 'JUN', 2026, 'GMT')", "false"),
        ("dateRange(1, 'JAN', 2026, 31, 'DEC', 2026, 'GMT')", "true"),
        ("dateRange()", "false"),
        ("dateRange(0)", "false"),
        ("dateRange(1, 2, 3)", "false"),
        ("timeRange(23, 'GMT')", "true"),
        ("timeRange(22, 'GMT')", "false"),
        ("timeRange(22, 1, 'GMT')", "true"),
        ("timeRange(8, 18, 'GMT')", "false"),
        ("timeRange(23, 30, 23, 30, 'GMT')", "true"),
        ("timeRange(23, 31, 23, 59, 'GMT')", "false"),
        ("timeRange(23, 30, 15, 23, 30, 15, 'GMT')", "true"),
        ("timeRange(23, 30, 16, 23, 30, 20, 'GMT')", "false"),
        ("timeRange(0, 23)", "true"),
        ("timeRange('x')", "false"),
    ];
    for (call, expected) in rows {
        let said = body(&format!("return '' + {call}")).await;
        assert_eq!(said.as_deref(), Ok(expected), "{call}");
    }
}

#[tokio::test]
async fn a23_denied_lookup_finds_nothing_and_asks_nobody() {
    let script = "function FindProxyForURL(u, h) { \
                  return [dnsResolve(h), dnsResolve('proxy.test'), isResolvable('two.test')].join() }";
    let names: Arc<Names> = Arc::default();
    let said = asked(script, &names, LookupRule::Deny).await;
    assert_eq!(said.as_deref(), Ok(",,false"));
    assert!(names.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a25_name_of_the_target_is_never_looked_up_in_any_writing() {
    let script = "function FindProxyForURL(u, h) { \
        return [h, h.toUpperCase(), h + '.', ' ' + h, 'proxy.test'].map(dnsResolve).join() }";
    let names: Arc<Names> = Arc::default();
    let rule = LookupRule::AllBut(Host::parse("controller.test").unwrap());
    let said = asked(script, &names, rule).await;
    assert_eq!(said.as_deref(), Ok(",,,,127.0.0.1"));
    assert_eq!(*names.asked.lock().unwrap(), ["proxy.test"]);
}

#[tokio::test]
async fn a23_lookups_are_counted_and_bounded() {
    let script = "function FindProxyForURL() { \
        for (var i = 0; i < 1000; i++) dnsResolve('n' + i + '.test'); return 'DIRECT' }";
    let names: Arc<Names> = Arc::default();
    let said = asked(script, &names, LookupRule::All).await;
    assert_eq!(said.as_deref(), Ok("DIRECT"));
    assert_eq!(names.asked.lock().unwrap().len(), PAC_LOOKUPS_MAX);
}
