//! The payload of a bundle, read: one map with fixed keys, every list bounded, every key checked.
//!
//! Refuses what no bundle may say by itself; what a bundle may not change stands beside it.

use super::{BundleContent, Mailbox, Writership};
use crate::cbor::{KeyOrder, Reader, check};
use crate::id::{Tenant, Thumbprint};
use crate::key::PublicKey;
use crate::limits::{BUNDLE_LIST_MAX, URL_BYTES_MAX, URLS_MAX};
use crate::reject::Reject;
use crate::revision::Generation;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

/// Reads the root key alone, which stands first: no other field counts before its signature has verified.
pub(super) fn read_root(payload: &[u8]) -> Result<PublicKey, Reject> {
    check(payload)?;
    let mut reader = Reader::new(payload);
    read_first(&mut reader, &mut KeyOrder::new())
}

fn read_first<'a>(reader: &mut Reader<'a>, order: &mut KeyOrder<'a>) -> Result<PublicKey, Reject> {
    if reader.map()? != 5 {
        return Err(Reject::Shape);
    }
    expect_key(reader, order, 1)?;
    //= spec/postern.md#bundle
    //# Every key of a bundle MUST pass the check of #keys, else `key-refused`.
    PublicKey::decode(reader)
}

pub(super) fn read_content(reader: &mut Reader<'_>) -> Result<BundleContent, Reject> {
    let mut order = KeyOrder::new();
    let root = read_first(reader, &mut order)?;
    expect_key(reader, &mut order, 2)?;
    let recovery = PublicKey::decode(reader)?;
    expect_key(reader, &mut order, 3)?;
    let writers = read_writers(reader)?;
    expect_key(reader, &mut order, 4)?;
    let mailboxes = read_mailboxes(reader)?;
    expect_key(reader, &mut order, 5)?;
    let revoked = read_revoked(reader)?;
    Ok(BundleContent {
        root,
        recovery,
        writers,
        mailboxes,
        revoked,
    })
}

/// Reads the key of a map whose keys are fixed.
pub(crate) fn expect_key<'a>(
    reader: &mut Reader<'a>,
    order: &mut KeyOrder<'a>,
    wanted: i128,
) -> Result<(), Reject> {
    if reader.int_key(order)? == wanted {
        Ok(())
    } else {
        Err(Reject::Shape)
    }
}

fn read_writers(reader: &mut Reader<'_>) -> Result<BTreeMap<Tenant, Writership>, Reject> {
    let count = bounded(reader.map()?)?;
    if count == 0 {
        return Err(Reject::Shape);
    }
    let mut order = KeyOrder::new();
    let mut writers = BTreeMap::new();
    for _ in 0..count {
        let tenant = Tenant::parse(reader.text_key(&mut order)?)?;
        reader.array_of(2)?;
        let generation = reader.uint()?;
        //= spec/postern.md#bundle
        //# A tenant that the held bundle does not name MUST have a generation of at least 1, else
        //# `bundle-generation`.
        if generation == 0 {
            return Err(Reject::BundleGeneration);
        }
        let key = PublicKey::decode(reader)?;
        let generation = Generation::new(generation);
        writers.insert(tenant, Writership { generation, key });
    }
    Ok(writers)
}

fn read_mailboxes(reader: &mut Reader<'_>) -> Result<Vec<Mailbox>, Reject> {
    let count = bounded(reader.array()?)?;
    let mut mailboxes = Vec::new();
    for _ in 0..count {
        reader.array_of(2)?;
        let key = PublicKey::decode(reader)?;
        let urls = read_urls(reader)?;
        mailboxes.push(Mailbox { key, urls });
    }
    Ok(mailboxes)
}

/// Reads 1..=8 URLs of 1..=512 bytes each.
pub(crate) fn read_urls(reader: &mut Reader<'_>) -> Result<Vec<String>, Reject> {
    let count = reader.array()?;
    if count == 0 {
        return Err(Reject::Shape);
    }
    if count > URLS_MAX {
        return Err(Reject::Oversize);
    }
    let mut urls = Vec::new();
    for _ in 0..count {
        let url = reader.text()?;
        if url.is_empty() {
            return Err(Reject::Shape);
        }
        if url.len() > URL_BYTES_MAX {
            return Err(Reject::Oversize);
        }
        urls.push(url.into());
    }
    Ok(urls)
}

fn read_revoked(reader: &mut Reader<'_>) -> Result<BTreeSet<Thumbprint>, Reject> {
    let count = bounded(reader.array()?)?;
    let mut revoked = BTreeSet::new();
    for _ in 0..count {
        let thumbprint = Thumbprint::from_bytes(reader.bytes_of()?);
        //= spec/postern.md#bundle
        //# Revoked thumbprints MUST ascend strictly, else `shape`.
        if revoked.last().is_some_and(|last| *last >= thumbprint) {
            return Err(Reject::Shape);
        }
        revoked.insert(thumbprint);
    }
    Ok(revoked)
}

//= spec/postern.md#bundle
//# A bundle MUST NOT have more than 256 entries in field 3, 4 or 5, more than 8 URLs of a mailbox
//# or a URL of more than 512 bytes, else `oversize`.
const fn bounded(count: usize) -> Result<usize, Reject> {
    if count > BUNDLE_LIST_MAX {
        Err(Reject::Oversize)
    } else {
        Ok(count)
    }
}
