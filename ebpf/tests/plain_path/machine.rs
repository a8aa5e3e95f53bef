//! Runs a program of an eBPF object, instruction by instruction, and counts them.
//!
//! Knows as much of the instruction set (RFC 9669) and of the kernel's helpers as the plain path
//! needs, and panics at anything else.

use std::collections::BTreeMap;

use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection, ObjectSymbol, RelocationTarget};

/// The instructions of a program.
pub(crate) struct Program {
    instructions: Vec<Instruction>,
    /// Maps that `ld_imm64` instructions name, by the place of the instruction.
    maps: BTreeMap<usize, String>,
}

#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    destination: usize,
    source: usize,
    offset: i16,
    immediate: i32,
}

impl Program {
    /// Reads the program in a section of an object.
    pub(crate) fn in_section(object: &[u8], section: &str) -> Self {
        let object = ElfFile64::<Endianness>::parse(object).expect("an ELF object");
        let section = object.section_by_name(section).expect("the section is there");
        let (instructions, rest) = section.data().expect("it has bytes").as_chunks::<8>();
        assert!(rest.is_empty(), "whole instructions");
        let mut maps = BTreeMap::new();
        for (offset, relocation) in section.relocations() {
            let RelocationTarget::Symbol(symbol) = relocation.target() else { continue };
            let symbol = object.symbol_by_index(symbol).expect("the symbol is there");
            let place = usize::try_from(offset / 8).expect("it fits");
            maps.insert(place, symbol.name().expect("it has a name").to_owned());
        }
        Self { instructions: instructions.iter().copied().map(Instruction::of).collect(), maps }
    }
}

impl Instruction {
    fn of([code, registers, o0, o1, i0, i1, i2, i3]: [u8; 8]) -> Self {
        Self {
            code,
            destination: usize::from(registers & 0x0f),
            source: usize::from(registers >> 4),
            offset: i16::from_le_bytes([o0, o1]),
            immediate: i32::from_le_bytes([i0, i1, i2, i3]),
        }
    }

    /// The immediate, with its sign extended.
    fn value(self) -> u64 {
        i64::from(self.immediate).cast_unsigned()
    }
}

/// Result of a run.
#[derive(Debug)]
pub(crate) struct Run {
    /// Return value of the program.
    pub(crate) action: u64,
    /// Number of instructions; a load of 64 bits and the call of a helper count as one each.
    pub(crate) instructions: usize,
    /// Numbers of the helpers that were called, in their order.
    pub(crate) helpers: Vec<i32>,
    /// The frame's metadata.
    pub(crate) metadata: Vec<u8>,
}

/// Places in the machine's memory.
const CONTEXT: usize = 0x100;
const STACK_END: usize = 0x1000;
const FRAME: usize = 0x2000;
const VALUES: usize = 0x4000;
const VALUE_LEN: usize = 8;
const MEMORY_LEN: usize = 0x5000;

/// Fields of the kernel's `struct xdp_md`, by offset.
const DATA: usize = CONTEXT;
const DATA_END: usize = CONTEXT + 4;
const DATA_META: usize = CONTEXT + 8;

/// Helpers, by the kernel's numbers.
pub(crate) const MAP_LOOKUP_ELEM: i32 = 1;
pub(crate) const KTIME_GET_NS: i32 = 5;
pub(crate) const REDIRECT_MAP: i32 = 51;
pub(crate) const XDP_ADJUST_META: i32 = 54;

pub(crate) const XDP_REDIRECT: u64 = 4;
/// The time that the clock shows, in nanoseconds.
pub(crate) const NOW_NS: u64 = 0x0102_0304_0506_0708;

/// Memory, registers and array maps.
pub(crate) struct Machine {
    memory: Vec<u8>,
    registers: [u64; 11],
    maps: Vec<String>,
    /// Places of the values that were looked up or set, by map and index; values are zero at first.
    values: BTreeMap<(String, u32), u64>,
    helpers: Vec<i32>,
}

impl Machine {
    /// A machine that is about to process a frame. `values` has those elements of array maps that
    /// are not zero.
    pub(crate) fn new(frame: &[u8], values: &[(&str, u32, u64)]) -> Self {
        let mut machine = Self {
            memory: vec![0; MEMORY_LEN],
            registers: [0; 11],
            maps: Vec::new(),
            values: BTreeMap::new(),
            helpers: Vec::new(),
        };
        machine.memory[FRAME..FRAME + frame.len()].copy_from_slice(frame);
        machine.store(DATA as u64, 4, FRAME as u64);
        machine.store(DATA_END as u64, 4, (FRAME + frame.len()) as u64);
        machine.store(DATA_META as u64, 4, FRAME as u64);
        for (name, index, value) in values {
            let place = machine.value_of((*name).to_owned(), *index);
            machine.store(place, VALUE_LEN, *value);
        }
        machine.registers[1] = CONTEXT as u64;
        machine.registers[10] = STACK_END as u64;
        machine
    }

    /// Runs to the program's end.
    pub(crate) fn run(mut self, program: &Program) -> Run {
        let (mut at, mut instructions) = (0, 0);
        loop {
            let instruction = program.instructions[at];
            instructions += 1;
            at += 1;
            match instruction.code & 0x07 {
                0x00 => {
                    assert_eq!(instruction.code, 0x18, "a load of 64 bits");
                    self.registers[instruction.destination] = match program.maps.get(&(at - 1)) {
                        Some(map) => self.handle_of(map),
                        None => low(instruction.value()) | program.instructions[at].value() << 32,
                    };
                    at += 1;
                }
                0x05 | 0x06 if instruction.code == 0x95 => break,
                0x05 if instruction.code == 0x85 => {
                    assert_eq!(instruction.source, 0, "a helper");
                    self.call(instruction.immediate);
                }
                0x05 | 0x06 => {
                    if self.jumps(instruction) {
                        at = at.checked_add_signed(instruction.offset.into()).expect("in range");
                    }
                }
                0x04 | 0x07 => self.calculate(instruction),
                _ => self.load_or_store(instruction),
            }
        }
        let [start, end] = [DATA_META, DATA].map(|field| self.load(field as u64, 4));
        let metadata = self.memory[place(start)..place(end)].to_vec();
        Run { action: self.registers[0], instructions, helpers: self.helpers, metadata }
    }

    /// Returns the value that stands for a map in a register.
    fn handle_of(&mut self, map: &str) -> u64 {
        self.maps.push(map.to_owned());
        self.maps.len() as u64 - 1
    }

    fn operand(&self, instruction: Instruction) -> u64 {
        if instruction.code & 0x08 == 0 {
            instruction.value()
        } else {
            self.registers[instruction.source]
        }
    }

    fn jumps(&self, instruction: Instruction) -> bool {
        let (mut left, mut right) =
            (self.registers[instruction.destination], self.operand(instruction));
        if instruction.code & 0x07 == 0x06 {
            (left, right) = (low(left), low(right));
        }
        match instruction.code & 0xf0 {
            0x00 => true,
            0x10 => left == right,
            0x20 => left > right,
            0x30 => left >= right,
            0x40 => left & right != 0,
            0x50 => left != right,
            0xa0 => left < right,
            0xb0 => left <= right,
            code => panic!("unknown jump {code:#x}"),
        }
    }

    fn calculate(&mut self, instruction: Instruction) {
        let is_32 = instruction.code & 0x07 == 0x04;
        let (mut left, mut right) =
            (self.registers[instruction.destination], self.operand(instruction));
        if is_32 && instruction.code & 0xf0 != 0xd0 {
            (left, right) = (low(left), low(right));
        }
        let shift = u32::try_from(right & if is_32 { 31 } else { 63 }).expect("it fits");
        let result = match instruction.code & 0xf0 {
            0x00 => left.wrapping_add(right),
            0x10 => left.wrapping_sub(right),
            0x20 => left.wrapping_mul(right),
            0x40 => left | right,
            0x50 => left & right,
            0x60 => left << shift,
            0x70 => left >> shift,
            0xa0 => left ^ right,
            0xb0 => right,
            0xc0 if is_32 => u64::from((signed_32(left) >> shift).cast_unsigned()),
            0xc0 => (left.cast_signed() >> shift).cast_unsigned(),
            0xd0 => swapped(instruction, left),
            code => panic!("unknown operation {code:#x}"),
        };
        let is_narrow = is_32 && instruction.code & 0xf0 != 0xd0;
        self.registers[instruction.destination] = if is_narrow { low(result) } else { result };
    }

    fn load_or_store(&mut self, instruction: Instruction) {
        let Instruction { code, destination, source, offset, .. } = instruction;
        assert_eq!(code & 0xe0, 0x60, "an access to memory, not an atomic one");
        let len = [4, 2, 1, 8][usize::from(code >> 3 & 3)];
        let at = |base: u64| base.wrapping_add_signed(offset.into());
        match code & 0x07 {
            0x01 => self.registers[destination] = self.load(at(self.registers[source]), len),
            0x02 => {
                self.store(at(self.registers[destination]), len, instruction.value());
            }
            _ => self.store(at(self.registers[destination]), len, self.registers[source]),
        }
    }

    fn call(&mut self, helper: i32) {
        self.helpers.push(helper);
        self.registers[0] = match helper {
            MAP_LOOKUP_ELEM => {
                let index = u32::try_from(self.load(self.registers[2], 4)).expect("4 bytes");
                self.value_of(self.maps[place(self.registers[1])].clone(), index)
            }
            KTIME_GET_NS => NOW_NS,
            REDIRECT_MAP => XDP_REDIRECT,
            XDP_ADJUST_META => {
                let delta = i64::from(signed_32(self.registers[2]));
                let start = self.load(DATA_META as u64, 4).wrapping_add_signed(delta);
                self.store(DATA_META as u64, 4, start);
                0
            }
            _ => panic!("unknown helper {helper}"),
        };
    }

    /// Returns the place of a map's value.
    fn value_of(&mut self, map: String, index: u32) -> u64 {
        let next = (VALUES + self.values.len() * VALUE_LEN) as u64;
        *self.values.entry((map, index)).or_insert(next)
    }

    fn load(&self, at: u64, len: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(&self.memory[place(at)..place(at) + len]);
        u64::from_le_bytes(bytes)
    }

    fn store(&mut self, at: u64, len: usize, value: u64) {
        self.memory[place(at)..place(at) + len].copy_from_slice(&value.to_le_bytes()[..len]);
    }
}

/// The lower 32 bits.
const fn low(value: u64) -> u64 {
    value & 0xffff_ffff
}

/// The lower 32 bits, with a sign.
fn signed_32(value: u64) -> i32 {
    u32::try_from(low(value)).expect("32 bits").cast_signed()
}

fn place(address: u64) -> usize {
    usize::try_from(address).expect("an address of this machine")
}

/// The lower bits of a little-endian value as big-endian ones, or cut to their number.
fn swapped(instruction: Instruction, value: u64) -> u64 {
    let bits = u32::try_from(instruction.immediate).expect("16, 32 or 64");
    let is_to_big_endian = instruction.code & 0x08 != 0;
    if is_to_big_endian {
        value.swap_bytes() >> (64 - bits)
    } else {
        value << (64 - bits) >> (64 - bits)
    }
}
