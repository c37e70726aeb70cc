//! A value inside a JSON file, with the way to it.
//!
//! The JSON reader's own errors quote what they found, which here is keys; these say where and what
//! should be there.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

/// As tolerant as Node's.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What is wrong inside a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The way to the field; empty for the whole file.
    pub field: String,
    /// What should be there.
    pub expected: &'static str,
    /// Whether there is nothing at all.
    pub missing: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field, expected, ..
        } = self;
        match (field.as_str(), self.missing) {
            ("", _) => write!(f, "it is not {expected}"),
            (_, true) => write!(f, "{field} is missing"),
            (_, false) => write!(f, "{field} is not {expected}"),
        }
    }
}

pub(super) type Result<T> = std::result::Result<T, Problem>;

/// One value.
#[derive(Clone)]
pub(super) struct Node<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self {
            path: String::new(),
            value,
        }
    }

    pub(super) fn not(&self, expected: &'static str) -> Problem {
        Problem {
            field: self.path.clone(),
            expected,
            missing: false,
        }
    }

    fn object(&self) -> Result<&'a Map<String, Value>> {
        self.value.as_object().ok_or_else(|| self.not("an object"))
    }

    fn child(&self, name: &str, value: &'a Value) -> Self {
        let path = match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        Self { path, value }
    }

    /// A field; absent and `null` are the same.
    pub(super) fn optional(&self, name: &str) -> Result<Option<Self>> {
        let value = self.object()?.get(name).filter(|value| !value.is_null());
        Ok(value.map(|value| self.child(name, value)))
    }

    pub(super) fn field(&self, name: &str) -> Result<Self> {
        self.optional(name)?.ok_or_else(|| Problem {
            field: self.child(name, self.value).path,
            expected: "there",
            missing: true,
        })
    }

    /// The entries of an object; the ways to them are their positions, since their names may be keys.
    pub(super) fn entries(&self) -> Result<impl Iterator<Item = (&'a str, Self)>> {
        let this = self.clone();
        let entries = self.object()?.iter().enumerate();
        Ok(entries
            .map(move |(at, (name, value))| (name.as_str(), this.child(&at.to_string(), value))))
    }

    pub(super) fn items(&self) -> Result<impl Iterator<Item = Self>> {
        let this = self.clone();
        let items = self.value.as_array().ok_or_else(|| self.not("a list"))?;
        let items = items.iter().enumerate();
        Ok(items.map(move |(at, value)| this.child(&at.to_string(), value)))
    }

    pub(super) fn is_list(&self) -> bool {
        self.value.is_array()
    }

    pub(super) fn text(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.not("a text"))
    }

    pub(super) fn flag(&self) -> Result<bool> {
        self.value
            .as_bool()
            .ok_or_else(|| self.not("true or false"))
    }

    /// A number, also as protobufjs writes long ones: a text, or its two halves.
    pub(super) fn number(&self) -> Result<i64> {
        let halves = || {
            let half = |name: &str| self.value.get(name)?.as_i64();
            let low = half("low")? & 0xffff_ffff;
            half("high")?.checked_mul(1 << 32)?.checked_add(low)
        };
        let number = match self.value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => halves(),
        };
        number.ok_or_else(|| self.not("a whole number"))
    }

    pub(super) fn unsigned<T: TryFrom<i64>>(&self, expected: &'static str) -> Result<T> {
        T::try_from(self.number()?).map_err(|_| self.not(expected))
    }

    /// Bytes as Baileys writes them: base64, `{"type":"Buffer","data":…}` with base64 or a list of
    /// numbers, or an object whose names count from 0.
    pub(super) fn bytes(&self) -> Result<Vec<u8>> {
        self.find_bytes().ok_or_else(|| self.not("bytes"))
    }

    fn find_bytes(&self) -> Option<Vec<u8>> {
        match self.value {
            Value::String(text) => BASE64.decode(text).ok(),
            Value::Array(list) => list.iter().map(byte).collect(),
            Value::Object(object) => {
                if let Some(data) = object.get("data").or_else(|| object.get("value")) {
                    let data = self.child("data", data);
                    return match data.value {
                        Value::Object(_) => None,
                        _ => data.find_bytes(),
                    };
                }
                let at = |at: usize| byte(object.get(&at.to_string())?);
                (0..object.len()).map(at).collect()
            }
            _ => None,
        }
    }

    pub(super) fn exactly<const N: usize>(&self, expected: &'static str) -> Result<[u8; N]> {
        self.bytes()?.try_into().map_err(|_| self.not(expected))
    }

    /// A Curve25519 public key, with or without the byte that names its type.
    pub(super) fn public_key(&self) -> Result<[u8; 32]> {
        public_key(&self.bytes()?).ok_or_else(|| self.not("a public key"))
    }

    /// The same, decoded from an entry's name.
    pub(super) fn named_public_key(&self, name: &str) -> Result<[u8; 32]> {
        BASE64
            .decode(name)
            .ok()
            .and_then(|bytes| public_key(&bytes))
            .ok_or_else(|| self.not("named by a public key"))
    }
}

/// Base64 in a name.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

fn byte(value: &Value) -> Option<u8> {
    value.as_u64()?.try_into().ok()
}

fn public_key(bytes: &[u8]) -> Option<[u8; 32]> {
    const DJB: u8 = 5;
    match bytes.split_first() {
        Some((&DJB, key)) if key.len() == 32 => key.try_into().ok(),
        _ => bytes.try_into().ok(),
    }
}
