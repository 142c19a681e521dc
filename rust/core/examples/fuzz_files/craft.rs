//! Files that nobody should write.
//!
//! They are taken apart and put together by a second implementation of the format, so that what
//! is broken can be given the checksums it would have had.

use ruvector_core::rng::Stream;

const HEADER: usize = 64;
const ENTRY: usize = 48;

/// A file in parts.
#[derive(Clone)]
pub struct Parts {
    version: u32,
    kind: [u8; 16],
    sections: Vec<([u8; 16], Vec<u8>)>,
}

fn u64_at(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

impl Parts {
    /// Takes a whole file apart.
    pub fn of(file: &[u8]) -> Self {
        let table = &file[HEADER..HEADER + ENTRY * usize::from(file[12])];
        let sections = table.chunks(ENTRY).map(|entry| {
            let (start, length) = (u64_at(entry, 16), u64_at(entry, 24));
            let bytes = file[start..start + length].to_vec();
            (entry[..16].try_into().unwrap(), bytes)
        });
        Self {
            version: u32::from(file[8]),
            kind: file[16..32].try_into().unwrap(),
            sections: sections.collect(),
        }
    }

    /// Puts it together with right checksums.
    pub fn file(&self) -> Vec<u8> {
        let mut file = b"\x89RUV\r\n\x1a\n".to_vec();
        file.extend(self.version.to_le_bytes());
        file.extend((self.sections.len() as u32).to_le_bytes());
        file.extend(self.kind);
        file.resize(HEADER + ENTRY * self.sections.len(), 0);
        for (i, (name, bytes)) in self.sections.iter().enumerate() {
            file.resize(file.len().next_multiple_of(64), 0);
            let entry = HEADER + ENTRY * i;
            let start = file.len() as u64;
            file[entry..entry + 16].copy_from_slice(name);
            file[entry + 16..entry + 24].copy_from_slice(&start.to_le_bytes());
            file[entry + 24..entry + 32].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
            file[entry + 32..entry + 36].copy_from_slice(&crc32fast::hash(bytes).to_le_bytes());
            file.extend(bytes);
        }
        let length = file.len() as u64;
        file[32..40].copy_from_slice(&length.to_le_bytes());
        seal(&mut file);
        file
    }

    /// The section of this name, if there is one of at least `least` bytes.
    fn named(&mut self, name: &str, least: usize) -> Option<&mut Vec<u8>> {
        self.sections
            .iter_mut()
            .find(|(held, bytes)| held.starts_with(name.as_bytes()) && bytes.len() >= least)
            .map(|(_, bytes)| bytes)
    }

    /// Whether the rows have codes.
    pub fn is_coded(&mut self) -> bool {
        self.named("codes", 1).is_some()
    }

    /// Changes what the sections say that codes are made of.
    pub fn change_codes(&mut self, draw: &mut Stream) {
        const VALUES: [f32; 7] = [f32::NAN, f32::INFINITY, 3e38, -3e38, 1e-45, 0.0, -1.0];
        let names = [
            "coding",
            "codes",
            "codes",
            "code mean",
            "projection",
            "projection step",
        ];
        let name = names[draw.below(names.len() as u64) as usize];
        let (kind, value) = (draw.below(4), VALUES[draw.below(7) as usize]);
        let Some(bytes) = self.named(name, 8) else {
            return;
        };
        match (name, kind) {
            ("coding", _) => {
                let at = 8 * draw.below(bytes.len() as u64 / 8) as usize;
                let value = number(draw, u64_at(bytes, at) as u64);
                bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
            // What one step stands for, or the squared length: a code's last two numbers, of
            // which every row's may be changed alike.
            ("codes", 0..=1) => {
                let places: Vec<usize> = (0..bytes.len() / 64).map(|line| 64 * line + 56).collect();
                let first = draw.below(places.len() as u64) as usize;
                let count = [1, places.len()][draw.below(2) as usize];
                for &place in places.iter().cycle().skip(first).take(count) {
                    let at = place + 4 * draw.below(2) as usize;
                    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
                }
            }
            ("codes" | "projection", _) => {
                let first = draw.below(bytes.len() as u64) as usize;
                let length = 1 << draw.below(12);
                let end = bytes.len().min(first + length);
                let byte = draw.next_u64() as u8;
                bytes[first..end].fill(byte);
            }
            (_, 0) => {
                let length = number(draw, bytes.len() as u64).min(1 << 16) as usize;
                bytes.resize(length, draw.next_u64() as u8);
            }
            _ => {
                let at = 4 * draw.below(bytes.len() as u64 / 4) as usize;
                bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
        }
    }

    /// Changes what a section says, or what sections there are.
    pub fn change(&mut self, draw: &mut Stream) {
        let below = |draw: &mut Stream, end: usize| draw.below(end.max(1) as u64) as usize;
        if self.sections.is_empty() {
            return;
        }
        let pick = below(draw, self.sections.len());
        match draw.below(14) {
            0 => {
                if let Some(head) = self.named("head", 8) {
                    let at = 8 * below(draw, head.len() / 8);
                    let value = number(draw, u64_at(head, at) as u64);
                    head[at..at + 8].copy_from_slice(&value.to_le_bytes());
                }
            }
            1..=4 => {
                let names = ["links", "upper links", "parents", "guards"];
                let name = names[below(draw, names.len())];
                if let Some(links) = self.named(name, 4) {
                    let at = 4 * below(draw, links.len() / 4);
                    let old = u32::from_le_bytes(links[at..at + 4].try_into().unwrap());
                    let value = number(draw, u64::from(old)) as u32;
                    links[at..at + 4].copy_from_slice(&value.to_le_bytes());
                }
            }
            5 => {
                const VALUES: [f32; 6] = [f32::NAN, f32::INFINITY, 3e38, -3e38, 1e-45, 0.0];
                if let Some(vectors) = self.named("vectors", 4) {
                    let at = 4 * below(draw, vectors.len() / 4);
                    let value = VALUES[below(draw, VALUES.len())];
                    vectors[at..at + 4].copy_from_slice(&value.to_le_bytes());
                }
            }
            6 => {
                const VALUES: [f64; 5] = [f64::NAN, f64::INFINITY, -1.0, 1e300, 0.0];
                if let Some(norms) = self.named("norms", 8) {
                    let at = 8 * below(draw, norms.len() / 8);
                    let value = VALUES[below(draw, VALUES.len())];
                    norms[at..at + 8].copy_from_slice(&value.to_le_bytes());
                }
            }
            7 => {
                if let Some(ids) = self.named("ids", 8) {
                    let at = 8 * below(draw, ids.len() / 8);
                    let value = number(draw, u64_at(ids, at) as u64);
                    ids[at..at + 8].copy_from_slice(&value.to_le_bytes());
                }
            }
            8 => {
                if let Some(levels) = self.named("levels", 1) {
                    let at = below(draw, levels.len());
                    levels[at] = number(draw, u64::from(levels[at])) as u8;
                }
            }
            9 => drop(self.sections.remove(pick)),
            10 => {
                let other = below(draw, self.sections.len());
                if draw.below(2) == 0 {
                    self.sections.swap(pick, other);
                } else {
                    self.sections[other].0 = self.sections[pick].0;
                }
            }
            11 => {
                let name = draw.next_u64().to_le_bytes();
                let bytes = vec![draw.next_u64() as u8; below(draw, 300)];
                let mut field = [0; 16];
                field[..8].copy_from_slice(&name);
                self.sections.insert(pick, (field, bytes));
            }
            12 => {
                let bytes = &mut self.sections[pick].1;
                let length = number(draw, bytes.len() as u64).min(4096) as usize;
                bytes.resize(length, draw.next_u64() as u8);
            }
            _ => {
                let bytes = &mut self.sections[pick].1;
                if !bytes.is_empty() {
                    let at = below(draw, bytes.len());
                    bytes[at] = draw.next_u64() as u8;
                }
            }
        }
    }
}

/// Damages the bytes themselves; header and table may get the checksum they would have had.
pub fn damage(file: &mut Vec<u8>, draw: &mut Stream) {
    let at = draw.below(file.len() as u64) as usize;
    match draw.below(5) {
        0 => file[at] ^= 1 << draw.below(8),
        1 => file.truncate(at),
        2 => file.extend(vec![0; 1 + at % 200]),
        3 => {
            // A number of the table.
            let entries = file.get(12).map_or(1, |&n| u64::from(n).max(1));
            let field = [0, 8, 16, 24, 32][draw.below(5) as usize];
            let at = HEADER + ENTRY * draw.below(entries) as usize + field;
            if at + 8 <= file.len() {
                let value = number(draw, u64_at(file, at) as u64);
                file[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
        }
        _ => {
            // A number of the header.
            let at = [8, 12, 16, 32, 40][draw.below(5) as usize];
            if at + 8 <= file.len() {
                let value = number(draw, u64_at(file, at) as u64);
                let bytes = if at < 16 { 4 } else { 8 };
                file[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
            }
        }
    }
    if draw.below(2) == 0 {
        seal(file);
    }
}

/// Gives header and table their checksum, if the file has them whole.
fn seal(file: &mut [u8]) {
    let count = file.get(12..16).map_or(0, |count| {
        u32::from_le_bytes(count.try_into().unwrap()) as usize
    });
    let end = HEADER.saturating_add(count.saturating_mul(ENTRY));
    if let Some(table) = file.get(HEADER..end) {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&file[..60]);
        crc.update(table);
        let crc = crc.finalize();
        file[60..64].copy_from_slice(&crc.to_le_bytes());
    }
}

/// A number like `old`, or one at the end of some range.
fn number(draw: &mut Stream, old: u64) -> u64 {
    const ENDS: [u64; 12] = [
        0,
        1,
        7,
        64,
        255,
        (1 << 31) - 1,
        1 << 31,
        (1 << 32) - 2,
        (1 << 32) - 1,
        1 << 63,
        u64::MAX - 63,
        u64::MAX,
    ];
    match draw.below(4) {
        0 => old.wrapping_add(draw.below(129)).wrapping_sub(64),
        1 => old ^ 1 << draw.below(64),
        2 => draw.below(200),
        _ => ENDS[draw.below(ENDS.len() as u64) as usize],
    }
}
