//! The calls into the GSS-API library: the only unsafe code of the product.
//!
//! Types and functions as in RFC 2744, section 4 and appendix A, with the layout that MIT Kerberos
//! has on Linux. Every handle has one owner that releases it once. Refuses to hand a pointer out.

#![expect(
    unsafe_code,
    reason = "a C library is called; each block states why that is sound"
)]

use std::ffi::{c_int, c_void};
use std::fmt;
use std::ptr;
use std::sync::OnceLock;

const LIBRARY: &str = "libgssapi_krb5.so.2";

#[repr(C)]
struct Oid {
    length: u32,
    elements: *const c_void,
}

#[repr(C)]
struct OidSet {
    count: usize,
    elements: *const Oid,
}

#[repr(C)]
struct Buffer {
    length: usize,
    value: *mut c_void,
}

/// An opaque name, credential or context of the library.
type Handle = *mut c_void;

type ImportName = unsafe extern "C" fn(*mut u32, *const Buffer, *const Oid, *mut Handle) -> u32;
type DisplayName = unsafe extern "C" fn(*mut u32, Handle, *mut Buffer, *mut *const Oid) -> u32;
type Release = unsafe extern "C" fn(*mut u32, *mut Handle) -> u32;
type ReleaseBuffer = unsafe extern "C" fn(*mut u32, *mut Buffer) -> u32;
type DeleteContext = unsafe extern "C" fn(*mut u32, *mut Handle, *mut Buffer) -> u32;
type AcquireCredential = unsafe extern "C" fn(
    *mut u32,
    Handle,
    u32,
    *const OidSet,
    c_int,
    *mut Handle,
    *mut *mut OidSet,
    *mut u32,
) -> u32;
type InquireCredential = unsafe extern "C" fn(
    *mut u32,
    Handle,
    *mut Handle,
    *mut u32,
    *mut c_int,
    *mut *mut OidSet,
) -> u32;
type InitContext = unsafe extern "C" fn(
    *mut u32,
    Handle,
    *mut Handle,
    Handle,
    *const Oid,
    u32,
    u32,
    *const c_void,
    *const Buffer,
    *mut *const Oid,
    *mut Buffer,
    *mut u32,
    *mut u32,
) -> u32;
type DisplayStatus =
    unsafe extern "C" fn(*mut u32, u32, c_int, *const Oid, *mut u32, *mut Buffer) -> u32;

/// The functions of the opened library.
pub(crate) struct Api {
    import_name: ImportName,
    display_name: DisplayName,
    release_name: Release,
    release_credential: Release,
    release_buffer: ReleaseBuffer,
    delete_context: DeleteContext,
    acquire_credential: AcquireCredential,
    inquire_credential: InquireCredential,
    init_context: InitContext,
    display_status: DisplayStatus,
    /// Keeps the functions valid; never dropped, because [`OPENED`] is never.
    _library: libloading::Library,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Api(..)")
    }
}

/// A failed call.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) text: String,
}

static OPENED: OnceLock<Api> = OnceLock::new();

/// 1.2.840.113554.1.2.2, Kerberos 5 (RFC 1964).
const KERBEROS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2];
/// 1.3.6.1.5.5.2, SPNEGO (RFC 4178).
const SPNEGO: &[u8] = &[0x2b, 6, 1, 5, 5, 2];
/// 1.2.840.113554.1.2.1.4, `GSS_C_NT_HOSTBASED_SERVICE`.
const HOSTBASED: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 1, 4];

const CONTINUE_NEEDED: u32 = 1;
/// Calling and routine errors; the lower half only adds hints.
const ERRORS: u32 = 0xffff_0000;
const INITIATE: c_int = 1;
const OF_MAJOR: c_int = 1;
const OF_MINOR: c_int = 2;

/// Messages of one status that are read; the library's own never need more than two.
const MESSAGES_MAX: usize = 4;

/// Opens the library, once in a process. One that could not be opened is looked for again.
pub(crate) fn api() -> Result<&'static Api, String> {
    if let Some(api) = OPENED.get() {
        return Ok(api);
    }
    let api = Api::open(LIBRARY)?;
    Ok(OPENED.get_or_init(|| api))
}

impl Api {
    pub(crate) fn open(name: &str) -> Result<Self, String> {
        // SAFETY: opening runs the library's initialisers. The name is fixed, and what the system
        // has under it is trusted as every library that a program links is.
        let library = unsafe { libloading::Library::new(name) }.map_err(|error| words(&error))?;
        Ok(Self {
            import_name: function(&library, c"gss_import_name")?,
            display_name: function(&library, c"gss_display_name")?,
            release_name: function(&library, c"gss_release_name")?,
            release_credential: function(&library, c"gss_release_cred")?,
            release_buffer: function(&library, c"gss_release_buffer")?,
            delete_context: function(&library, c"gss_delete_sec_context")?,
            acquire_credential: function(&library, c"gss_acquire_cred")?,
            inquire_credential: function(&library, c"gss_inquire_cred")?,
            init_context: function(&library, c"gss_init_sec_context")?,
            display_status: function(&library, c"gss_display_status")?,
            _library: library,
        })
    }

    fn check(&self, mechanism: &'static [u8], major: u32, minor: u32) -> Result<(), Status> {
        if major & ERRORS == 0 {
            return Ok(());
        }
        let minor_text = match minor {
            0 => Vec::new(),
            minor => self.messages(OF_MINOR, minor, mechanism),
        };
        let texts = if minor_text.is_empty() {
            self.messages(OF_MAJOR, major, mechanism)
        } else {
            minor_text
        };
        Err(Status {
            major,
            minor,
            text: texts.join("; "),
        })
    }

    fn messages(&self, of: c_int, status: u32, mechanism: &'static [u8]) -> Vec<String> {
        let (mut more, mut texts) = (0, Vec::new());
        let oid = oid(mechanism);
        while texts.len() < MESSAGES_MAX {
            let (mut minor, mut text) = (0, Received::new(self));
            // SAFETY: all pointers are to live locals; `oid` points into constant memory; the
            // library fills `text`, which its owner releases.
            let major = unsafe {
                (self.display_status)(
                    &raw mut minor,
                    status,
                    of,
                    &raw const oid,
                    &raw mut more,
                    &raw mut text.buffer,
                )
            };
            if major & ERRORS != 0 {
                break;
            }
            texts.push(String::from_utf8_lossy(&text.to_vec()).into_owned());
            if more == 0 {
                break;
            }
        }
        texts
    }
}

/// Finds a function by its name.
fn function<F: Copy>(library: &libloading::Library, name: &std::ffi::CStr) -> Result<F, String> {
    // SAFETY: `F` is chosen by the field that receives it, and the fields have the types that
    // RFC 2744 gives to the functions of these names.
    let found = unsafe { library.get::<F>(name.to_bytes_with_nul()) };
    found.map(|symbol| *symbol).map_err(|error| words(&error))
}

/// The system's own words stand in the source.
fn words(error: &libloading::Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

fn oid(bytes: &'static [u8]) -> Oid {
    Oid {
        // The three object identifiers above have at most ten bytes.
        length: u32::try_from(bytes.len()).unwrap_or(0),
        elements: bytes.as_ptr().cast(),
    }
}

/// A buffer that the library allocates and takes back.
struct Received<'a> {
    api: &'a Api,
    buffer: Buffer,
}

impl<'a> Received<'a> {
    fn new(api: &'a Api) -> Self {
        let buffer = Buffer {
            length: 0,
            value: ptr::null_mut(),
        };
        Self { api, buffer }
    }

    fn to_vec(&self) -> Vec<u8> {
        if self.buffer.value.is_null() {
            return Vec::new();
        }
        // SAFETY: the library returned this pointer with this length, both untouched since, and
        // the memory lives until `drop`.
        let bytes = unsafe {
            std::slice::from_raw_parts(self.buffer.value.cast::<u8>(), self.buffer.length)
        };
        bytes.to_vec()
    }
}

impl Drop for Received<'_> {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: the buffer is empty or was filled by the library, and is released only here.
        unsafe { (self.api.release_buffer)(&raw mut minor, &raw mut self.buffer) };
    }
}

/// A name known to the library.
#[derive(Debug)]
pub(crate) struct Name {
    api: &'static Api,
    handle: Handle,
}

// SAFETY: a name is a plain allocation without ties to a thread, and has one owner.
unsafe impl Send for Name {}

impl Name {
    /// Takes over a service name such as `HTTP@proxy.corp.test`.
    pub(crate) fn service(api: &'static Api, text: &str) -> Result<Self, Status> {
        let input = Buffer {
            length: text.len(),
            value: text.as_ptr().cast_mut().cast(),
        };
        let mut name = Self {
            api,
            handle: ptr::null_mut(),
        };
        let (oid, mut minor) = (oid(HOSTBASED), 0);
        // SAFETY: all pointers are to live locals; the library only reads `input` and `oid`, and
        // writes a handle that `name` owns.
        let major = unsafe {
            (api.import_name)(
                &raw mut minor,
                &raw const input,
                &raw const oid,
                &raw mut name.handle,
            )
        };
        api.check(KERBEROS, major, minor).map(|()| name)
    }

    fn text(&self) -> Result<String, Status> {
        let (mut minor, mut text) = (0, Received::new(self.api));
        // SAFETY: the handle is this name's own and not null when the library made it; a null type
        // pointer means that the type is not wanted.
        let major = unsafe {
            (self.api.display_name)(
                &raw mut minor,
                self.handle,
                &raw mut text.buffer,
                ptr::null_mut(),
            )
        };
        self.api.check(KERBEROS, major, minor)?;
        Ok(String::from_utf8_lossy(&text.to_vec()).into_owned())
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: the handle is null, which the library accepts, or owned by this value alone.
        unsafe { (self.api.release_name)(&raw mut minor, &raw mut self.handle) };
    }
}

struct Credential {
    api: &'static Api,
    handle: Handle,
}

impl Drop for Credential {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: the handle is null, which the library accepts, or owned by this value alone.
        unsafe { (self.api.release_credential)(&raw mut minor, &raw mut self.handle) };
    }
}

/// Whose ticket there is, and for how long.
pub(crate) struct Acquired {
    pub(crate) principal: String,
    pub(crate) lifetime_s: u32,
}

/// Looks for the default Kerberos credential, which a client keytab may have to fetch first.
pub(crate) fn acquire(api: &'static Api) -> Result<Acquired, Status> {
    let mechanism = oid(KERBEROS);
    let wanted = OidSet {
        count: 1,
        elements: &raw const mechanism,
    };
    let mut credential = Credential {
        api,
        handle: ptr::null_mut(),
    };
    let (mut minor, no_name) = (0, ptr::null_mut());
    // SAFETY: all pointers are to live locals or null where RFC 2744, 5.2 lets them be; the library
    // writes a handle that `credential` owns.
    let major = unsafe {
        (api.acquire_credential)(
            &raw mut minor,
            no_name,
            0,
            &raw const wanted,
            INITIATE,
            &raw mut credential.handle,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    };
    api.check(KERBEROS, major, minor)?;
    inquire(&credential)
}

fn inquire(credential: &Credential) -> Result<Acquired, Status> {
    let api = credential.api;
    let mut name = Name {
        api,
        handle: ptr::null_mut(),
    };
    let (mut minor, mut lifetime_s) = (0, 0);
    // SAFETY: the handle was acquired and not released; all other pointers are to live locals or
    // null where RFC 2744, 5.21 lets them be; the name's handle gets its owner here.
    let major = unsafe {
        (api.inquire_credential)(
            &raw mut minor,
            credential.handle,
            &raw mut name.handle,
            &raw mut lifetime_s,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    };
    api.check(KERBEROS, major, minor)?;
    let principal = name.text()?;
    Ok(Acquired {
        principal,
        lifetime_s,
    })
}

/// What a step of a context left to do.
pub(crate) enum Next {
    Continue(Vec<u8>),
    Complete(Vec<u8>),
}

/// A security context under construction.
#[derive(Debug)]
pub(crate) struct Context {
    api: &'static Api,
    handle: Handle,
}

// SAFETY: MIT Kerberos lets any thread use a context, one at a time; this value has one owner and
// every use takes it by `&mut`.
unsafe impl Send for Context {}

impl Context {
    pub(crate) fn new(api: &'static Api) -> Self {
        Self {
            api,
            handle: ptr::null_mut(),
        }
    }

    /// Takes the peer's token, none at first, and makes the next one.
    pub(crate) fn step(&mut self, service: &Name, input: &[u8]) -> Result<Next, Status> {
        let api = self.api;
        let value = if input.is_empty() {
            ptr::null_mut()
        } else {
            input.as_ptr().cast_mut().cast()
        };
        let input = Buffer {
            length: input.len(),
            value,
        };
        let (mechanism, mut minor) = (oid(SPNEGO), 0);
        let mut output = Received::new(api);
        let no_credential = ptr::null_mut();
        // SAFETY: the context handle is null at first, as RFC 2744, 5.19 asks, and the library's own
        // later; the name is alive; all other pointers are to live locals or null where the same
        // section lets them be. The library only reads `input` and allocates `output`.
        let major = unsafe {
            (api.init_context)(
                &raw mut minor,
                no_credential,
                &raw mut self.handle,
                service.handle,
                &raw const mechanism,
                0,
                0,
                ptr::null(),
                &raw const input,
                ptr::null_mut(),
                &raw mut output.buffer,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        api.check(SPNEGO, major, minor)?;
        let token = output.to_vec();
        Ok(if major & CONTINUE_NEEDED == 0 {
            Next::Complete(token)
        } else {
            Next::Continue(token)
        })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: the handle is null, which the library accepts, or owned by this value alone; no
        // token is wanted, hence the null buffer.
        unsafe { (self.api.delete_context)(&raw mut minor, &raw mut self.handle, ptr::null_mut()) };
    }
}
