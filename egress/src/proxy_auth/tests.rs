use super::*;
use crate::connect::{Challenge, Leg};
use negotiate::Tokens;
use postern_gssapi::{Failure, Step, Trouble};
use std::collections::VecDeque;

/// A Kerberos library that does what a script says: one entry for each first token.
#[derive(Debug, Default)]
struct Scripted {
    begins: Mutex<VecDeque<Result<&'static [u8], Trouble>>>,
    asked: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Made(&'static [u8]);

impl Tickets for Scripted {
    fn start(&self, service: &str) -> Result<Box<dyn Tokens>, Failure> {
        self.asked.lock().unwrap().push(service.to_owned());
        let next = self.begins.lock().unwrap().pop_front();
        match next.unwrap_or(Err(Trouble::NoLibrary)) {
            Ok(token) => Ok(Box::new(Made(token))),
            Err(trouble) => Err(Failure {
                trouble,
                text: "in the library's words".to_owned(),
            }),
        }
    }
}

impl Tokens for Made {
    fn step(&mut self, input: Option<&[u8]>) -> Result<Step, Failure> {
        Ok(match input {
            None => Step::Token(self.0.to_vec()),
            Some(input) => Step::Done([b"re:", input].concat()),
        })
    }
}

fn scripted(begins: &[Result<&'static [u8], Trouble>]) -> Arc<Scripted> {
    Arc::new(Scripted {
        begins: Mutex::new(begins.iter().copied().collect()),
        asked: Mutex::default(),
    })
}

fn auth(host: &str, secret: Option<&str>, tickets: &Arc<Scripted>) -> ProxyAuth {
    auth_with(host, secret, tickets, Schemes::default())
}

fn auth_with(
    host: &str,
    secret: Option<&str>,
    tickets: &Arc<Scripted>,
    schemes: Schemes,
) -> ProxyAuth {
    let place = Place {
        host: Host::parse(host).unwrap(),
        port: 3128,
        is_hidden: false,
    };
    let secret = secret.map(|text| {
        let (user, password) = text.split_once(':').unwrap();
        ProxySecret::new(user, password).unwrap()
    });
    let lockout = Arc::new(LockoutKeeper::in_process());
    let auth = ProxyAuth::new(place, secret, None, schemes, lockout);
    auth.with_tickets(Arc::clone(tickets) as Arc<dyn Tickets>)
}

fn offer(values: &[&str]) -> Vec<Challenge> {
    let mut offered = Vec::new();
    for value in values {
        Challenge::read(value.as_bytes(), &mut offered);
    }
    offered
}

/// The first word of what is sent, or the code of the fault.
async fn answer(conversation: &mut Conversation<'_>, values: &[&str]) -> String {
    match conversation.answer(&offer(values)).await {
        Ok(answer) => answer.value.split(' ').next().unwrap().to_owned(),
        Err(fault) => fault.code().to_owned(),
    }
}

fn start(auth: &ProxyAuth) -> Conversation<'_> {
    let (conversation, unasked) = Conversation::start(auth, "c.test:443".to_owned());
    assert!(unasked.is_none());
    conversation
}

const ALL: &[&str] = &["Negotiate", "NTLM", DIGEST, "Basic realm=\"x\""];
const DIGEST: &str = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"";
const DIGEST_STALE: &str = "Digest realm=\"r\", nonce=\"m\", qop=\"auth\", stale=true";

async fn check_first(
    secret: Option<&str>,
    ticket: Result<&'static [u8], Trouble>,
    offered: &[&str],
    expected: &str,
) {
    let auth = auth("proxy.corp.test", secret, &scripted(&[ticket]));
    let first = answer(&mut start(&auth), offered).await;
    assert_eq!(first, expected, "{offered:?}");
}

#[tokio::test]
async fn a05_strongest_scheme_that_works_here_is_begun() {
    let (ticket, none) = (Ok(&b"ticket"[..]), Err(Trouble::NoTicket));
    let secret = Some("alice:s3cret");
    check_first(secret, ticket, ALL, "Negotiate").await;
    check_first(secret, none, ALL, "NTLM").await;
    check_first(secret, Err(Trouble::NoLibrary), &ALL[..1], "PST-P13").await;
    check_first(secret, none, &["Basic, Negotiate", DIGEST], "Digest").await;
    check_first(secret, none, &["Negotiate", "Basic"], "Basic").await;
    check_first(None, ticket, ALL, "Negotiate").await;
    check_first(None, none, ALL, "PST-P14").await;
    check_first(None, Err(Trouble::Expired), ALL, "PST-P14").await;
    check_first(None, ticket, &ALL[1..], "PST-P02").await;
    check_first(secret, ticket, &["Bearer"], "PST-P02").await;
    check_first(secret, ticket, &["Digest realm=\"r\""], "PST-P02").await;
}

#[tokio::test]
async fn negotiate_is_for_proxies_with_a_name() {
    let tickets = scripted(&[Ok(b"ticket")]);
    let by_address = auth("10.0.0.1", None, &tickets);
    assert_eq!(answer(&mut start(&by_address), ALL).await, "PST-P16");
    assert!(tickets.asked.lock().unwrap().is_empty());
    let by_name = auth("proxy.corp.test", None, &tickets);
    assert_eq!(answer(&mut start(&by_name), ALL).await, "Negotiate");
    assert_eq!(*tickets.asked.lock().unwrap(), ["HTTP@proxy.corp.test"]);
}

#[tokio::test]
async fn missing_ticket_is_not_remembered() {
    let tickets = scripted(&[Err(Trouble::NoTicket), Err(Trouble::Expired), Ok(b"t")]);
    let auth = auth("proxy.corp.test", None, &tickets);
    for expected in ["PST-P14", "PST-P14", "Negotiate"] {
        assert_eq!(answer(&mut start(&auth), &["Negotiate"]).await, expected);
    }
}

#[tokio::test]
async fn negotiate_goes_on_with_the_proxys_token_on_the_same_connection() {
    let auth = auth("proxy.corp.test", None, &scripted(&[Ok(b"t")]));
    let mut conversation = start(&auth);
    assert_eq!(answer(&mut conversation, &["Negotiate"]).await, "Negotiate");
    let second = conversation
        .answer(&offer(&["Negotiate eHl6"]))
        .await
        .unwrap();
    // "re:xyz"
    assert_eq!(
        (second.value.as_str(), second.leg),
        ("Negotiate cmU6eHl6", Leg::Bound)
    );
    assert_eq!(
        answer(&mut conversation, &["Negotiate ===="]).await,
        "PST-P03"
    );
}

#[tokio::test]
async fn rejected_ticket_gives_way_to_the_secret_and_rests() {
    let tickets = scripted(&[Ok(b"t"), Ok(b"t")]);
    let auth = auth("proxy.corp.test", Some("u:p"), &tickets);
    let mut conversation = start(&auth);
    for expected in ["Negotiate", "NTLM"] {
        assert_eq!(answer(&mut conversation, ALL).await, expected);
    }
    drop(conversation);
    assert_eq!(answer(&mut start(&auth), ALL).await, "NTLM");
    assert_eq!(answer(&mut start(&auth), &["Negotiate"]).await, "PST-P03");
    assert_eq!(tickets.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a06_secret_rejected_in_one_scheme_is_locked_in_all() {
    for scheme in ["Basic", DIGEST] {
        let auth = auth("proxy.corp.test", Some("u:p"), &scripted(&[]));
        let mut conversation = start(&auth);
        assert!(
            !answer(&mut conversation, &[scheme])
                .await
                .starts_with("PST")
        );
        assert_eq!(answer(&mut conversation, &[scheme]).await, "PST-P03");
        for later in [DIGEST, "NTLM", "Basic"] {
            assert_eq!(answer(&mut start(&auth), &[later]).await, "PST-P03");
        }
    }
}

#[tokio::test]
async fn a08_stale_nonce_is_no_rejection_but_a_third_one_is_no_end() {
    let auth = auth("proxy.corp.test", Some("u:p"), &scripted(&[]));
    let mut conversation = start(&auth);
    for expected in ["Digest", "Digest", "Digest", "PST-P19"] {
        assert_eq!(answer(&mut conversation, &[DIGEST_STALE]).await, expected);
    }
    drop(conversation);
    assert_eq!(answer(&mut start(&auth), &[DIGEST]).await, "Digest");
}

#[tokio::test]
async fn a08_known_nonce_is_used_unasked_with_the_next_count() {
    let auth = auth("proxy.corp.test", Some("u:p"), &scripted(&[]));
    let mut conversation = start(&auth);
    assert_eq!(answer(&mut conversation, &[DIGEST]).await, "Digest");
    conversation.handle_open();
    for nc in ["nc=00000002", "nc=00000003"] {
        let (conversation, unasked) = Conversation::start(&auth, "c.test:443".to_owned());
        assert!(unasked.unwrap().value.contains(nc));
        conversation.handle_open();
    }
    // One that did not end well leaves no nonce behind whose count nobody knows.
    let (failed, unasked) = Conversation::start(&auth, "c.test:443".to_owned());
    assert!(unasked.is_some());
    drop(failed);
    let _asks = start(&auth);
}

#[tokio::test]
async fn basic_is_not_sent_in_the_clear_where_a_stronger_scheme_worked() {
    let auth = auth("proxy.corp.test", Some("u:p"), &scripted(&[]));
    let mut conversation = start(&auth);
    assert_eq!(answer(&mut conversation, &[DIGEST]).await, "Digest");
    conversation.handle_open();
    drop(Conversation::start(&auth, "c.test:443".to_owned()));
    assert_eq!(answer(&mut start(&auth), &["Basic"]).await, "PST-P12");
}

#[tokio::test]
async fn a05_chosen_schemes_are_the_only_ones() {
    let only = |word| Schemes::parse([word]).unwrap();
    for (word, first) in [("basic", "Basic"), ("digest", "Digest"), ("ntlm", "NTLM")] {
        let tickets = scripted(&[Ok(b"t")]);
        let auth = auth_with("proxy.corp.test", Some("u:p"), &tickets, only(word));
        assert_eq!(answer(&mut start(&auth), ALL).await, first);
        assert_eq!(answer(&mut start(&auth), &["Negotiate"]).await, "PST-P02");
        assert!(tickets.asked.lock().unwrap().is_empty());
    }
    let none = auth_with(
        "p.test",
        Some("u:p"),
        &scripted(&[Ok(b"t")]),
        Schemes::none(),
    );
    assert_eq!(answer(&mut start(&none), ALL).await, "PST-P02");
}

#[tokio::test]
async fn broken_ntlm_gives_way_to_the_next_scheme() {
    for second in ["NTLM", "NTLM ====", "NTLM TlRMTVNTUAA="] {
        let auth = auth("proxy.corp.test", Some("u:p"), &scripted(&[]));
        let mut conversation = start(&auth);
        assert_eq!(answer(&mut conversation, &["NTLM", "Basic"]).await, "NTLM");
        assert_eq!(answer(&mut conversation, &[second, "Basic"]).await, "Basic");
        let mut only = start(&auth);
        drop(conversation);
        assert_eq!(answer(&mut only, &["NTLM"]).await, "NTLM");
        assert_eq!(answer(&mut only, &[second]).await, "PST-P18");
    }
}

#[tokio::test]
async fn proven_basic_is_asked_again_when_the_proxy_changes_its_scheme() {
    let auth = auth("proxy.corp.test", Some("u:p"), &scripted(&[]));
    let mut conversation = start(&auth);
    assert_eq!(answer(&mut conversation, &["Basic"]).await, "Basic");
    conversation.handle_open();
    let (mut conversation, unasked) = Conversation::start(&auth, "c.test:443".to_owned());
    assert!(unasked.is_some());
    assert_eq!(answer(&mut conversation, &[DIGEST]).await, "Digest");
}

#[test]
fn passwords_are_shown_to_the_same_account_by_host_and_user_alone() {
    let shown = |host, secret| auth(host, secret, &Arc::default()).password_use();
    let ours = shown("a.test", Some("user:one"));
    assert!(ours.is_some());
    assert_eq!(ours, shown("a.test", Some("user:two")));
    assert_ne!(ours, shown("b.test", Some("user:one")));
    assert_ne!(ours, shown("a.test", Some("other:one")));
    assert_eq!(shown("a.test", None), None);
    assert!(!format!("{ours:?}").contains("one") && !format!("{ours:?}").contains("user"));
}
