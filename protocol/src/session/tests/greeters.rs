//! Greetings of those who are no device: a tenant's writer, and a mailbox.

use super::*;
use crate::id::{ChannelId, MailboxId, TenantId};

const ROOT: Thumbprint = Thumbprint::from_bytes([9; 32]);

fn tenant() -> Tenant {
    Tenant::parse("acme").unwrap()
}

/// Answers the challenge of a mailbox as `identity` and returns both frames' ends.
fn greet_as(world: &World, identity: Identity<'_>) -> (Greeting, Vec<u8>) {
    let (asking, _) = Asking::start(BundleNumber::new(1)).unwrap();
    let mailbox = [world.mailbox.public_key()];
    asking
        .handle_challenge(&world.challenge(1), mailbox, identity, &SEED)
        .unwrap()
}

fn welcome_to(world: &World, hello: &[u8], admitted: Admitted<'_>) -> Result<Welcomed, Reject> {
    let hello = ReceivedHello::parse(hello)?;
    let id = SessionId::from_bytes([1; 4]);
    world
        .mailbox()
        .handle_hello(&hello, &[admitted], |_| false, id, 0)
}

//= spec/relays.md#writer-sessions type=test
//# In a hello and in its transcript the tenant id of a writer, or the mailbox id of a mailbox, MUST
//# stand in the place of the channel id.
#[test]
fn hello_of_a_writer_or_mailbox_names_its_tenant_or_key() {
    let (world, tenant) = (World::new(), tenant());
    let writer = MemorySigner::from_seed(&[31; 32]);
    let (_, hello) = greet_as(&world, Identity::writer(ROOT, &tenant, &writer));
    let parsed = ReceivedHello::parse(&hello).unwrap();
    assert_eq!(parsed.tenant(), TenantId::of(ROOT, &tenant));
    let (_, hello) = greet_as(&world, Identity::mailbox(ROOT, &writer));
    let parsed = ReceivedHello::parse(&hello).unwrap();
    let thumbprint = writer.public_key().thumbprint();
    assert_eq!(parsed.mailbox(), MailboxId::of(ROOT, thumbprint));
    assert_ne!(parsed.channel(), channel("press-7").id());
}

#[test]
fn writer_and_mailbox_open_sessions_that_answer() {
    let (mut world, tenant) = (World::new(), tenant());
    let signer = MemorySigner::from_seed(&[31; 32]);
    let key = signer.public_key();
    let cases = [
        (
            Identity::writer(ROOT, &tenant, &signer),
            Admitted::writer(ROOT, &tenant, key),
        ),
        (
            Identity::mailbox(ROOT, &signer),
            Admitted::mailbox(ROOT, key),
        ),
    ];
    for (owner, (identity, admitted)) in (1..).zip(cases) {
        let (greeting, hello) = greet_as(&world, identity);
        let welcomed = welcome_to(&world, &hello, admitted).unwrap();
        let mut client = greeting.handle_welcome(&welcomed.frame, 0).unwrap();
        world.sessions = Sessions::new(8);
        world.sessions.offer(owner, welcomed.pending, 0).unwrap();
        let request = client.seal_request(&poll()).unwrap();
        let opened = world.sessions.open(&request.bytes, 0).unwrap();
        assert_eq!((opened.owner, opened.frame), (owner, poll()));
    }
}

#[test]
fn hello_of_one_role_is_worth_nothing_for_another() {
    let (world, tenant) = (World::new(), tenant());
    let signer = MemorySigner::from_seed(&[31; 32]);
    let key = signer.public_key();
    let channel = channel("press-7");
    let writer = Identity::writer(ROOT, &tenant, &signer);
    let mailbox = Identity::mailbox(ROOT, &signer);
    let other = Tenant::parse("other").unwrap();
    let cases = [
        (writer, Admitted::device(&channel, INCARNATION, key)),
        (writer, Admitted::mailbox(ROOT, key)),
        (writer, Admitted::writer(ROOT, &other, key)),
        (
            writer,
            Admitted::writer(Thumbprint::from_bytes([8; 32]), &tenant, key),
        ),
        (mailbox, Admitted::writer(ROOT, &tenant, key)),
        (mailbox, Admitted::device(&channel, INCARNATION, key)),
    ];
    for (place, (identity, admitted)) in cases.into_iter().enumerate() {
        let (_, hello) = greet_as(&world, identity);
        let refused = welcome_to(&world, &hello, admitted).map(|_| ());
        assert_eq!(refused, Err(Reject::SignatureInvalid), "case {place}");
    }
    let (_, hello) = greet_as(&world, writer);
    let stranger = Admitted::writer(ROOT, &tenant, world.device.public_key());
    let refused = welcome_to(&world, &hello, stranger).map(|_| ());
    assert_eq!(refused, Err(Reject::KeyUnknown));
    let revoked = world.mailbox().handle_hello(
        &ReceivedHello::parse(&hello).unwrap(),
        &[Admitted::writer(ROOT, &tenant, key)],
        |_| true,
        SessionId::from_bytes([1; 4]),
        0,
    );
    assert_eq!(revoked.map(|_| ()), Err(Reject::KeyRevoked));
}

#[test]
fn welcome_to_another_greeter_is_refused() {
    let (world, tenant) = (World::new(), tenant());
    let signer = MemorySigner::from_seed(&[31; 32]);
    let (greeting, _) = greet_as(&world, Identity::writer(ROOT, &tenant, &signer));
    let (_, hello) = greet_as(&world, Identity::mailbox(ROOT, &signer));
    let admitted = Admitted::mailbox(ROOT, signer.public_key());
    let welcomed = welcome_to(&world, &hello, admitted).unwrap();
    let refused = greeting.handle_welcome(&welcomed.frame, 0).map(|_| ());
    assert_eq!(refused, Err(Reject::SignatureInvalid));
}

/// A mailbox signs hellos too, so that its role alone makes no welcome.
#[test]
fn hello_of_the_mailbox_itself_is_no_welcome() {
    let (world, tenant) = (World::new(), tenant());
    let signer = MemorySigner::from_seed(&[31; 32]);
    let (greeting, _) = greet_as(&world, Identity::writer(ROOT, &tenant, &signer));
    let (_, hello) = greet_as(&world, Identity::mailbox(ROOT, &world.mailbox));
    let Ok(PlainFrame::Hello { hello, .. }) = PlainFrame::decode(&hello, Direction::Up) else {
        panic!("a hello");
    };
    let frame = PlainFrame::Welcome { welcome: hello }.encode().unwrap();
    let refused = greeting.handle_welcome(&frame, 0).map(|_| ());
    assert_eq!(refused, Err(Reject::SignerRole));
}

#[test]
fn ids_of_the_same_name_differ_by_what_they_name() {
    let tenant = tenant();
    let channel = ChannelId::from_bytes(*TenantId::of(ROOT, &tenant).as_bytes());
    assert_ne!(channel, super::channel("press-7").id());
    let (one, two) = (
        Thumbprint::from_bytes([1; 32]),
        Thumbprint::from_bytes([2; 32]),
    );
    assert_ne!(MailboxId::of(ROOT, one), MailboxId::of(ROOT, two));
    assert_ne!(MailboxId::of(one, ROOT), MailboxId::of(ROOT, one));
    assert_ne!(TenantId::of(one, &tenant), TenantId::of(two, &tenant));
}
