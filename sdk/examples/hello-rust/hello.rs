//! hello-rust: a tool in Rust. The structs are those of rustic/abi.h, as far as they are used.
use std::ffi::c_void;
use std::mem::size_of;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct RaiStr {
    ptr: *const u8,
    len: usize,
}

impl RaiStr {
    fn of(text: &'static str) -> Self {
        RaiStr { ptr: text.as_ptr(), len: text.len() }
    }
    /// Borrowed until the function that got it returns.
    fn bytes(&self) -> &[u8] {
        if self.len == 0 { &[] } else { unsafe { std::slice::from_raw_parts(self.ptr, self.len) } }
    }
}

/// Its beginning: what follows `method` is not used here.
#[repr(C)]
pub struct RaiRequest {
    struct_size: u32,
    flags: u32,
    revision: u32,
    timeout_ms: u32,
    target: RaiStr,
    method: RaiStr,
}

#[repr(C)]
pub struct RaiService {
    struct_size: u32,
    reserved: u32,
    this: *mut c_void,
    call: Option<extern "C" fn(*mut c_void, *const RaiRequest, u64, *mut c_void)>,
}

/// Its beginning: what follows `finish` is not used here.
#[repr(C)]
pub struct RaiHost {
    struct_size: u32,
    abi_minor: u32,
    this: *mut c_void,
    emit: Option<extern "C" fn(*mut c_void, u64, *const c_void) -> i32>,
    finish: Option<extern "C" fn(*mut c_void, u64, i32, RaiStr)>,
}

type Lifecycle = Option<extern "C" fn(*mut c_void)>;

#[repr(C)]
pub struct RaiPlugin {
    struct_size: u32,
    reserved: u32,
    create: Option<extern "C" fn(*const RaiHost, RaiStr, *const c_void, *mut *mut c_void) -> i32>,
    start: Option<extern "C" fn(*mut c_void, *const c_void) -> i32>,
    stop: Lifecycle,
    destroy: Lifecycle,
    service: Option<extern "C" fn(*mut c_void, RaiStr, *mut RaiService) -> i32>,
}

const OK: i32 = 0;
const INVALID_ARGUMENT: i32 = 3;
const NOT_FOUND: i32 = 5;
const UNIMPLEMENTED: i32 = 12;
const ANSWER: &str = r#"{"success":true,"output":"Hello from Rust!","error":null}"#;
const UNKNOWN: &str = r#"{"message":"hello_rust has one method, call"}"#;

// The manifest: plugin.json in an ELF note.
const JSON: &[u8] = include_bytes!("plugin.json");
const JSON_SIZE: usize = JSON.len() + 1;

#[repr(C, align(4))]
pub struct Note {
    name_size: u32,
    text_size: u32,
    kind: u32,
    name: [u8; 8],
    text: [u8; JSON_SIZE],
}

const fn ended() -> [u8; JSON_SIZE] {
    let mut out = [0; JSON_SIZE];
    let mut i = 0;
    while i < JSON.len() {
        out[i] = JSON[i];
        i += 1;
    }
    out
}

#[used]
#[link_section = ".note.rustic.manifest"]
static MANIFEST: Note =
    Note { name_size: 7, text_size: JSON_SIZE as u32, kind: 1, name: *b"Rustic\0\0", text: ended() };

extern "C" fn call(this: *mut c_void, request: *const RaiRequest, call: u64, _op: *mut c_void) {
    // The host is valid from create until destroy returns, and `this` is the host.
    let host = unsafe { &*(this as *const RaiHost) };
    if let Some(finish) = host.finish {
        match unsafe { &*request }.method.bytes() {
            b"call" => finish(host.this, call, OK, RaiStr::of(ANSWER)),
            _ => finish(host.this, call, UNIMPLEMENTED, RaiStr::of(UNKNOWN)),
        }
    }
}

extern "C" fn create(
    host: *const RaiHost, _config: RaiStr, _error: *const c_void, this: *mut *mut c_void,
) -> i32 {
    unsafe { *this = host as *mut c_void };
    OK
}

extern "C" fn service(this: *mut c_void, target: RaiStr, out: *mut RaiService) -> i32 {
    if target.bytes() != b"rustic.tool/hello_rust" {
        return NOT_FOUND;
    }
    let out = unsafe { &mut *out };
    out.this = this;
    out.call = Some(call);
    OK
}

#[no_mangle]
pub extern "C" fn rai_plugin_entry_v1(_host_minor: u32, out: *mut RaiPlugin) -> i32 {
    let out = unsafe { &mut *out };
    let known = size_of::<RaiPlugin>();
    if (out.struct_size as usize) < known {
        return INVALID_ARGUMENT;
    }
    out.create = Some(create);
    out.service = Some(service);
    out.struct_size = known as u32;
    OK
}
