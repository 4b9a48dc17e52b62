//! The driver and CUDA's libraries, loaded when a GPU is asked for.
//!
//! cudarc, as candle asks for it, has its functions linked: a program with CUDA in it would not start where one of the libraries is
//! missing. So the program defines those functions itself (`functions.s`: each is a jump through a table), and [`load`]
//! fills the table. A function that is called and not in the list does not link; one that the library lacks ends the program by
//! name. candle's own kernels are neither called nor compiled (`.cargo/config.toml`).

use std::{
    ffi::{CStr, CString, c_char, c_void},
    sync::OnceLock,
};

/// A library, by what its functions' names begin with.
struct Library {
    prefix: &'static str,
    /// The newest version first.
    files: &'static [&'static str],
    part_of: &'static str,
}

const LIBRARIES: [Library; 5] = [
    Library { prefix: "cublas", files: &["libcublas.so.13", "libcublas.so.12"], part_of: "CUDA 12 or 13" },
    Library { prefix: "curand", files: &["libcurand.so.10"], part_of: "CUDA 12 or 13" },
    Library { prefix: "nvrtc", files: &["libnvrtc.so.13", "libnvrtc.so.12"], part_of: "CUDA 12 or 13" },
    Library { prefix: "cudnn", files: &["libcudnn.so.9"], part_of: "cuDNN 9" },
    // Last: its functions begin as those of the others do.
    Library { prefix: "cu", files: &["libcuda.so.1"], part_of: "NVIDIA's driver" },
];

/// An element of the table: a name, and where a call of it goes.
#[repr(C)]
struct Function {
    name: *const c_char,
    place: *mut c_void,
}

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    include_str!("x86_64.s"),
    include_str!("begin.s"),
    include_str!("functions.s"),
    include_str!("end.s"),
    absent = sym absent,
    options(att_syntax)
);
#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    include_str!("aarch64.s"),
    include_str!("begin.s"),
    include_str!("functions.s"),
    include_str!("end.s"),
    absent = sym absent,
);

unsafe extern "C" {
    static mut dcgan_cuda_functions: Function;
    static mut dcgan_cuda_functions_end: Function;
}

/// Where a call goes whose function was not found. There is nobody to return an error to.
extern "C" fn absent(name: *const c_char) -> ! {
    // SAFETY: a string of the table.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    eprintln!("error: {name} is not in the driver or library that is installed; a newer one may have it");
    std::process::exit(1);
}

/// Finds every function of the driver and the libraries, once.
///
/// # Errors
/// What is missing, and what to install.
pub(super) fn load() -> Result<(), String> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    LOADED.get_or_init(|| load_all(&LIBRARIES)).clone()
}

/// The same of NCCL, which several GPUs need.
pub(super) fn load_nccl() -> Result<(), String> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    let nccl = Library { prefix: "nccl", files: &["libnccl.so.2"], part_of: "NCCL 2" };
    LOADED.get_or_init(|| load_all(&[nccl])).clone()
}

fn load_all(libraries: &[Library]) -> Result<(), String> {
    let opened: Vec<_> = libraries.iter().map(|library| (library, open(library))).collect();
    let missing: Vec<&str> =
        opened.iter().rev().filter_map(|(_, o)| o.as_ref().err()).map(String::as_str).collect();
    if !missing.is_empty() {
        let hint = "install what is missing, or name its folder in LD_LIBRARY_PATH";
        return Err(format!("not found: {}; {hint}", missing.join(", ")));
    }
    let first = &raw mut dcgan_cuda_functions;
    // SAFETY: the two are the ends of one table, which nothing else writes and no call has gone through before.
    let functions = unsafe {
        std::slice::from_raw_parts_mut(
            first,
            (&raw const dcgan_cuda_functions_end).offset_from(first) as usize,
        )
    };
    for function in functions {
        // SAFETY: a string of the table.
        let name = unsafe { CStr::from_ptr(function.name) };
        let is_of = |(library, _): &&(&Library, _)| name.to_bytes().starts_with(library.prefix.as_bytes());
        if let Some((_, Ok(handle))) = opened.iter().find(is_of) {
            // SAFETY: the library stays open.
            let place = unsafe { libc::dlsym(*handle, name.as_ptr()) };
            if !place.is_null() {
                function.place = place;
            }
        }
    }
    Ok(())
}

/// Opens a library for the rest of the program.
fn open(library: &Library) -> Result<*mut c_void, String> {
    let mut reasons = Vec::new();
    for file in library.files {
        let name = CString::new(*file).unwrap_or_default();
        // SAFETY: what these libraries do when they are opened is theirs, and they stay.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) };
        if !handle.is_null() {
            return Ok(handle);
        }
        // SAFETY: of the call above; copied before the next.
        let reason = unsafe { CStr::from_ptr(libc::dlerror()) };
        reasons.push(reason.to_string_lossy().into_owned());
    }
    // A library that is there and cannot be used says why.
    let why = reasons
        .iter()
        .find(|reason| !reason.ends_with("cannot open shared object file: No such file or directory"));
    let why = why.map(|reason| format!(": {reason}")).unwrap_or_default();
    Err(format!("{} ({}){why}", library.files.join(" or "), library.part_of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_what_it_is_part_of() {
        let library = |files| Library { prefix: "cu", files, part_of: "a toolkit" };
        let missing =
            load_all(&[library(&["libnone.so.2", "libnone.so.1"]), library(&["libc.so.6"])]).unwrap_err();
        assert_eq!(
            missing,
            "not found: libnone.so.2 or libnone.so.1 (a toolkit); install what is missing, or name its folder in LD_LIBRARY_PATH"
        );
        // A file that is there, and is no library.
        let broken = open(&library(&["/dev/null"])).unwrap_err();
        assert!(broken.starts_with("/dev/null (a toolkit): /dev/null: "), "{broken}");
    }
}
