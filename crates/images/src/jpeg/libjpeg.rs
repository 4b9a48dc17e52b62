//! libjpeg (mozjpeg's, without its assembler), with an ear to its warnings.
//!
//! libjpeg fills what it cannot decode with grey and says so in a warning alone. Here the first warning that data was lost is
//! kept.

use std::cell::RefCell;
use std::ffi::c_int;
use std::io::ErrorKind;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mozjpeg::decompress::DecompressBuilder;
use mozjpeg::{ColorSpace, ColorSpaceExt as _};
use mozjpeg_sys::{
    JERR_OUT_OF_MEMORY, JWRN_BOGUS_PROGRESSION, JWRN_EXTRANEOUS_DATA, JWRN_HIT_MARKER, JWRN_HUFF_BAD_CODE,
    JWRN_JPEG_EOF, JWRN_MUST_RESYNC, jpeg_common_struct, jpeg_decompress_struct, jpeg_error_mgr,
    jpeg_std_error,
};

/// A decoded picture.
pub(super) struct Decoded {
    /// Interleaved values.
    pub(super) values: Vec<u8>,
    /// 1 (grey), 3 (RGB) or 4 (CMYK as Adobe stores it: 255 is no ink).
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    /// What libjpeg said about lost data.
    pub(super) lost: Lost,
}

/// libjpeg's first warning of each kind.
#[derive(Default)]
pub(super) struct Lost {
    /// Data are missing.
    pub(super) data: Option<String>,
    /// There is more behind a scan than belongs to it.
    pub(super) surplus: Option<String>,
}

/// Why nothing was decoded.
pub(super) enum Failure {
    /// libjpeg's own words.
    Refused(String),
    /// So many bytes could not be had; 0 where libjpeg asked for them.
    Memory(u64),
}

/// What the callbacks note of the file that a thread decodes.
#[derive(Default)]
struct Notes {
    /// Where the file's bytes are.
    file: Range<usize>,
    /// The header is read: what is missing from here on is missing in the picture.
    is_behind_header: bool,
    lost: Lost,
}

thread_local! {
    static NOTES: RefCell<Notes> = RefCell::default();
}

/// Decodes the JPEG file `bytes` of `size` (height, width), scaled by `eighths` / 8 (1, 2, 4 or 8).
pub(super) fn decode(bytes: &[u8], size: [usize; 2], eighths: u8) -> Result<Decoded, Failure> {
    let range = bytes.as_ptr_range();
    let file = range.start as usize..range.end as usize;
    NOTES.with_borrow_mut(|notes| *notes = Notes { file, ..Notes::default() });
    unwound(|| decode_noted(bytes, size, eighths))
}

/// What `work` returns, or the failure with which the C library unwinds, past the panic hook.
fn unwound<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done,
        Err(payload) => match payload.downcast::<Failure>() {
            Ok(failure) => Err(*failure),
            Err(payload) => resume_unwind(payload),
        },
    }
}

fn decode_noted(bytes: &[u8], size: [usize; 2], eighths: u8) -> Result<Decoded, Failure> {
    let refused = |e: std::io::Error| Failure::Refused(e.to_string());
    let mut decoder = DecompressBuilder::new().with_err(error_manager()).from_mem(bytes).map_err(refused)?;
    NOTES.with_borrow_mut(|notes| notes.is_behind_header = true);
    let found = [decoder.height(), decoder.width()];
    if found != size {
        return Err(Failure::Refused(format!("expected {size:?} pixels, found {found:?}")));
    }
    decoder.scale(eighths);
    let wanted = match decoder.color_space() {
        ColorSpace::JCS_GRAYSCALE => ColorSpace::JCS_GRAYSCALE,
        ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK => ColorSpace::JCS_CMYK,
        _ => ColorSpace::JCS_RGB,
    };
    let mut started = decoder.to_colorspace(wanted).map_err(refused)?;
    let (height, width, channels) = (started.height(), started.width(), wanted.num_components());
    let values = started.read_scanlines::<u8>().map_err(|e| match e.kind() {
        ErrorKind::OutOfMemory => Failure::Memory((height * width * channels) as u64),
        _ => refused(e),
    })?;
    // Reads up to the end of the image, and warns of what it meets on the way. An error there leaves the rows as they are.
    let finished = unwound(|| started.finish().map_err(refused));
    let mut lost = NOTES.with_borrow_mut(|notes| std::mem::take(&mut notes.lost));
    if let Err(Failure::Refused(said)) = finished {
        lost.data.get_or_insert(said);
    }
    Ok(Decoded { values, channels, height, width, lost })
}

#[allow(unsafe_code)]
fn error_manager() -> jpeg_error_mgr {
    // SAFETY: a plain C structure of numbers and pointers, which `jpeg_std_error` fills.
    let mut manager: jpeg_error_mgr = unsafe { std::mem::zeroed() };
    // SAFETY: it only writes to the structure.
    unsafe { jpeg_std_error(&mut manager) };
    manager.error_exit = Some(fail);
    manager.emit_message = Some(note);
    manager
}

/// Ends decoding: unwinds through the C library, which is compiled for that.
#[allow(unsafe_code)]
unsafe extern "C-unwind" fn fail(cinfo: &mut jpeg_common_struct) {
    let failure = match code(cinfo) {
        JERR_OUT_OF_MEMORY => Failure::Memory(0),
        _ => Failure::Refused(words(cinfo)),
    };
    resume_unwind(Box::new(failure));
}

/// Keeps the first warnings of lost data.
#[allow(unsafe_code)]
unsafe extern "C-unwind" fn note(cinfo: &mut jpeg_common_struct, level: c_int) {
    NOTES.with_borrow_mut(|notes| {
        // Traces have levels from 0 on, warnings −1.
        if level >= 0 || notes.lost.data.is_some() {
            return;
        }
        match code(cinfo) {
            JWRN_HIT_MARKER
            | JWRN_HUFF_BAD_CODE
            | JWRN_JPEG_EOF
            | JWRN_MUST_RESYNC
            | JWRN_BOGUS_PROGRESSION => notes.lost.data = Some(words(cinfo)),
            // Between the header's segments nothing of the picture is lost.
            JWRN_EXTRANEOUS_DATA if notes.is_behind_header && !is_padding(cinfo, &notes.file) => {
                notes.lost.surplus.get_or_insert_with(|| words(cinfo));
            }
            _ => {}
        }
    });
}

#[allow(unsafe_code)]
fn code(cinfo: &jpeg_common_struct) -> c_int {
    // SAFETY: libjpeg calls back with the error manager that `decode_noted` set, which lives as long as the decoder.
    unsafe { (*cinfo.err).msg_code }
}

/// Whether the bytes of `file` that libjpeg just passed over are zeros or 0xff, which some encoders write behind a scan.
#[allow(unsafe_code)]
fn is_padding(cinfo: &mut jpeg_common_struct, file: &Range<usize>) -> bool {
    // SAFETY: the only `cinfo` there is here is a decompressor, whose common part comes first, with a source. The slice is
    // checked to lie within the file.
    unsafe {
        let n = (*(*cinfo.err).msg_parm.i())[0] as usize;
        let decompressor = &*(&raw mut *cinfo).cast::<jpeg_decompress_struct>();
        let behind = (*decompressor.src).next_input_byte;
        if behind as usize > file.end || (behind as usize).saturating_sub(n) < file.start {
            return false;
        }
        std::slice::from_raw_parts(behind.sub(n), n).iter().all(|&byte| matches!(byte, 0 | 0xff))
    }
}

/// libjpeg's message.
#[allow(unsafe_code)]
fn words(cinfo: &mut jpeg_common_struct) -> String {
    let mut buffer = [0u8; 80];
    // SAFETY: the function writes a text that ends in 0 into a buffer of 80 bytes, as its C declaration says; that of the
    // bindings takes it as not to be written to.
    unsafe {
        type Format = unsafe extern "C-unwind" fn(&mut jpeg_common_struct, &[u8; 80]);
        type Writing = unsafe extern "C-unwind" fn(&mut jpeg_common_struct, &mut [u8; 80]);
        match (*cinfo.err).format_message {
            Some(format) => std::mem::transmute::<Format, Writing>(format)(cinfo, &mut buffer),
            None => return format!("code {}", (*cinfo.err).msg_code),
        }
    }
    let end = buffer.iter().position(|&byte| byte == 0).unwrap_or(buffer.len());
    String::from_utf8_lossy(&buffer[..end]).into_owned()
}
