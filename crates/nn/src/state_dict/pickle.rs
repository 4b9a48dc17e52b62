//! Pickles as PyTorch writes them: data alone, nothing is run.
//!
//! Objects stand one beside another and name each other by number, so that neither depth nor an object that is named often takes
//! stack or memory: a pickle of n bytes makes less than n objects.

use std::collections::HashMap;
use std::io::{BufRead, Read as _};
use std::path::Path;

use super::entry::wrong;
use crate::Result;

/// Number of an object.
pub(super) type Id = usize;

/// What a pickle holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Object {
    Text(String),
    Int(i64),
    /// Of any module: its own name.
    Class(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Keys and values, in their order.
    Dict(Vec<[Id; 2]>),
    /// A class or function, and what it is called with.
    Called([Id; 2]),
    /// A storage, by what names it.
    Storage(Id),
    /// None, a truth value, a float, bytes or a set.
    Other,
}

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Pickle {
    objects: Vec<Object>,
    top: Id,
}

impl Pickle {
    /// What it is of.
    pub(super) fn top(&self) -> Id {
        self.top
    }

    pub(super) fn objects(&self) -> &[Object] {
        &self.objects
    }

    pub(super) fn object(&self, id: Id) -> &Object {
        self.objects.get(id).unwrap_or(&Object::Other)
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.object(id) {
            Object::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn int(&self, id: Id) -> Option<i64> {
        match self.object(id) {
            Object::Int(n) => Some(*n),
            _ => None,
        }
    }

    pub(super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.object(id) {
            Object::Tuple(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn dict(&self, id: Id) -> Option<&[[Id; 2]]> {
        match self.object(id) {
            Object::Dict(pairs) => Some(pairs),
            _ => None,
        }
    }

    pub(super) fn class(&self, id: Id) -> Option<&str> {
        match self.object(id) {
            Object::Class(name) => Some(name),
            _ => None,
        }
    }

    /// A tuple of sizes.
    pub(super) fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        self.tuple(id)?.iter().map(|&id| usize::try_from(self.int(id)?).ok()).collect()
    }
}

/// Reads one pickle, and no byte more.
pub(super) fn unpickle(path: &Path, from: &mut impl BufRead) -> Result<Pickle> {
    let mut machine =
        Machine { from, objects: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    let top = machine.run().map_err(|found| {
        wrong(path, "a state dict that PyTorch saved", format!("a pickle that is no such thing: {found}"))
    })?;
    Ok(Pickle { objects: machine.objects, top })
}

/// The state between two instructions (CPython's `Lib/pickletools.py`).
struct Machine<'a, R> {
    from: &'a mut R,
    objects: Vec<Object>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

/// What is wrong with a pickle.
type Step<T> = std::result::Result<T, String>;

impl<R: BufRead> Machine<'_, R> {
    fn run(&mut self) -> Step<Id> {
        loop {
            let [code] = self.bytes()?;
            if code == b'.' {
                return self.pop();
            }
            self.step(code)?;
        }
    }

    fn step(&mut self, code: u8) -> Step<()> {
        match code {
            // PROTO and FRAME announce what follows.
            0x80 => self.bytes::<1>().map(|_| ()),
            0x95 => self.bytes::<8>().map(|_| ()),
            b'K' | b'M' | b'J' | 0x8a | b'X' | 0x8c | 0x8d | b'G' | b'B' | b'C' => self.value(code),
            b'N' | 0x88 | 0x89 | 0x8f => self.push(Object::Other),
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.memo(code),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b')' => self.push(Object::Tuple(Vec::new())),
            b']' => self.push(Object::List(Vec::new())),
            b'}' => self.push(Object::Dict(Vec::new())),
            b'c' => {
                let (_module, name) = (self.line()?, self.line()?);
                self.push(Object::Class(name))
            }
            0x93 => {
                let (name, _module) = (self.pop()?, self.pop()?);
                let Some(Object::Text(name)) = self.objects.get(name).cloned() else {
                    return Err("a class without a name".to_owned());
                };
                self.push(Object::Class(name))
            }
            b't' | b'l' | b'd' | 0x85..=0x87 => self.collect(code),
            b'a' | b'e' | b's' | b'u' | 0x90 => self.add(code),
            b'R' | 0x81 => self.call(),
            // The state of an object: of a dictionary its attributes, such as `_metadata`.
            b'b' | b'0' => self.pop().map(|_| ()),
            b'Q' => {
                let id = self.pop()?;
                self.push(Object::Storage(id))
            }
            other => Err(format!("the instruction {other:#04x}")),
        }
    }

    /// Numbers and texts.
    fn value(&mut self, code: u8) -> Step<()> {
        let object = match code {
            b'K' => Object::Int(i64::from(self.bytes::<1>()?[0])),
            b'M' => Object::Int(i64::from(u16::from_le_bytes(self.bytes()?))),
            b'J' => Object::Int(i64::from(i32::from_le_bytes(self.bytes()?))),
            0x8a => {
                let [len] = self.bytes()?;
                let digits = self.read(u64::from(len))?;
                match digits.len() {
                    0 => Object::Int(0),
                    n @ 1..=8 => {
                        // Two's complement, of as few bytes as it takes.
                        let fill = if digits[n - 1] & 0x80 != 0 { 0xff } else { 0 };
                        let mut number = [fill; 8];
                        number[..n].copy_from_slice(&digits);
                        Object::Int(i64::from_le_bytes(number))
                    }
                    _ => Object::Other,
                }
            }
            b'G' => {
                self.bytes::<8>()?;
                Object::Other
            }
            b'C' | b'B' => {
                let len = if code == b'C' { u64::from(self.bytes::<1>()?[0]) } else { self.length()? };
                self.read(len)?;
                Object::Other
            }
            _ => {
                let len = match code {
                    0x8c => u64::from(self.bytes::<1>()?[0]),
                    0x8d => u64::from_le_bytes(self.bytes()?),
                    _ => self.length()?,
                };
                let text = self.read(len)?;
                Object::Text(String::from_utf8(text).map_err(|_| "a text that is not UTF-8".to_owned())?)
            }
        };
        self.push(object)
    }

    fn memo(&mut self, code: u8) -> Step<()> {
        let number = match code {
            b'q' | b'h' => u32::from(self.bytes::<1>()?[0]),
            0x94 => self.memo.len() as u32,
            _ => u32::from_le_bytes(self.bytes()?),
        };
        if matches!(code, b'h' | b'j') {
            let id = *self.memo.get(&number).ok_or_else(|| format!("the unknown object {number}"))?;
            self.stack.push(id);
            return Ok(());
        }
        let id = self.last()?;
        self.memo.insert(number, id);
        Ok(())
    }

    /// Tuples, and lists and dictionaries with what is in them.
    fn collect(&mut self, code: u8) -> Step<()> {
        let items = match code {
            0x85..=0x87 => self.pop_some(usize::from(code - 0x84))?,
            _ => self.pop_marked()?,
        };
        let object = match code {
            b'l' => Object::List(items),
            b'd' => Object::Dict(pairs(&items)?),
            _ => Object::Tuple(items),
        };
        self.push(object)
    }

    /// Adds to the list or dictionary below.
    fn add(&mut self, code: u8) -> Step<()> {
        let items = match code {
            b'a' => self.pop_some(1)?,
            b's' => self.pop_some(2)?,
            _ => self.pop_marked()?,
        };
        let to = self.last()?;
        match (self.objects.get_mut(to), code) {
            (Some(Object::List(list)), b'a' | b'e') => list.extend(items),
            (Some(Object::Dict(dict)), b's' | b'u') => dict.extend(pairs(&items)?),
            // What is no dictionary or list of Python's own: an OrderedDict's subclass, a set.
            (Some(Object::Called(_) | Object::Other), _) => {}
            _ => return Err("an item that is added to no list or dictionary".to_owned()),
        }
        Ok(())
    }

    fn call(&mut self) -> Step<()> {
        let (args, callable) = (self.pop()?, self.pop()?);
        let is_dict = matches!(
            self.objects.get(callable),
            Some(Object::Class(name)) if name == "OrderedDict" || name == "defaultdict"
        );
        self.push(if is_dict { Object::Dict(Vec::new()) } else { Object::Called([callable, args]) })
    }

    fn push(&mut self, object: Object) -> Step<()> {
        self.stack.push(self.objects.len());
        self.objects.push(object);
        Ok(())
    }

    fn last(&self) -> Step<Id> {
        self.stack.last().copied().ok_or_else(|| "no object where one is used".to_owned())
    }

    fn pop(&mut self) -> Step<Id> {
        let id = self.last()?;
        self.stack.pop();
        Ok(id)
    }

    fn pop_some(&mut self, n: usize) -> Step<Vec<Id>> {
        let first = self.stack.len().checked_sub(n).ok_or("no object where one is used")?;
        Ok(self.stack.split_off(first))
    }

    fn pop_marked(&mut self) -> Step<Vec<Id>> {
        let mark =
            self.marks.pop().filter(|mark| *mark <= self.stack.len()).ok_or("no mark where one is used")?;
        Ok(self.stack.split_off(mark))
    }

    fn bytes<const N: usize>(&mut self) -> Step<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    fn length(&mut self) -> Step<u64> {
        Ok(u64::from(u32::from_le_bytes(self.bytes()?)))
    }

    /// So many bytes: memory is taken for what is there, not for what is announced.
    fn read(&mut self, len: u64) -> Step<Vec<u8>> {
        let mut bytes = Vec::new();
        self.from.by_ref().take(len).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        match bytes.len() as u64 == len {
            true => Ok(bytes),
            false => Err(format!("{len} bytes announced, {} there", bytes.len())),
        }
    }

    fn line(&mut self) -> Step<String> {
        let mut line = Vec::new();
        self.from.read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&line);
        text.strip_suffix('\n')
            .map(|text| text.trim_end_matches('\r').to_owned())
            .ok_or_else(|| "a name that is cut off".to_owned())
    }
}

fn pairs(items: &[Id]) -> Step<Vec<[Id; 2]>> {
    match items.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.to_vec()),
        _ => Err("a key without a value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Pickle> {
        unpickle(Path::new("a.pth"), &mut &bytes[..])
    }

    /// ```python
    /// x = collections.OrderedDict(a=[1, -2, 300, 2**40, -2**33], b=("é", None, 1.5, b"x")); x["c"] = x["a"]
    /// pickle.dumps(x, protocol=2), pickle.dumps(x, protocol=4)
    /// ```
    const FORMS: [&[u8]; 2] =
        [include_bytes!("../testdata/protocol_2.pkl"), include_bytes!("../testdata/protocol_4.pkl")];

    #[test]
    fn both_protocols_are_read() {
        for bytes in FORMS {
            let pickle = read(bytes).unwrap();
            let [a, b, c] = pickle.dict(pickle.top()).unwrap() else { panic!("{pickle:?}") };
            assert_eq!([a[0], b[0], c[0]].map(|id| pickle.text(id).unwrap()), ["a", "b", "c"]);
            let Object::List(numbers) = pickle.object(a[1]) else { panic!("{pickle:?}") };
            let numbers: Vec<i64> = numbers.iter().map(|&id| pickle.int(id).unwrap()).collect();
            assert_eq!(numbers, [1, -2, 300, 1 << 40, -(1 << 33)]);
            assert_eq!(c[1], a[1]);
            assert_eq!(pickle.text(pickle.tuple(b[1]).unwrap()[0]).unwrap(), "é");
            for len in 0..bytes.len() {
                assert!(read(&bytes[..len]).is_err(), "cut after {len}");
            }
        }
    }

    /// Neither depth nor doubling by name takes more than the pickle's own size.
    #[test]
    fn deep_and_doubled_objects_take_no_stack_and_no_memory() {
        for nest in [&b"\x85"[..], b"l", b"R"] {
            let mut bytes = match nest {
                b"l" => vec![b'('; 1_000_000],
                b"R" => [&b"("[..], &b"N".repeat(1_000_000)].concat(),
                _ => b"N".to_vec(),
            };
            bytes.extend(nest.repeat(999_999));
            bytes.push(b'.');
            let pickle = read(&bytes).unwrap();
            assert!(pickle.objects.len() <= bytes.len(), "{nest:?}");
        }
        // (x, x), named and taken twice, again and again: 2¹⁰⁰⁰ objects for who copies.
        let mut bytes = b"N".to_vec();
        (0..1000).for_each(|_| bytes.extend(b"q\x00h\x00\x86"));
        bytes.push(b'.');
        assert_eq!(read(&bytes).unwrap().objects.len(), 1001);
    }

    #[test]
    fn announced_lengths_take_no_memory() {
        let message = read(b"X\xff\xff\xff\xffabc").unwrap_err().to_string();
        assert!(message.ends_with("4294967295 bytes announced, 3 there"), "{message}");
        let message = read(b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc").unwrap_err().to_string();
        assert!(message.contains("bytes announced, 3 there"), "{message}");
    }
}
