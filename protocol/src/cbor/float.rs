//! Half-precision arithmetic for the shortest float form (RFC 8949 section 4.2.1).
//!
//! `core` has no f16; these two conversions are exact by construction.

/// Widens the bits of a half-precision float to the f64 of the same value.
pub(super) fn half_to_f64(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = (bits >> 10) & 0x1f;
    let fraction = f64::from(bits & 0x3ff);
    let magnitude = match exponent {
        0 => fraction / 16_777_216.0,
        0x1f if bits & 0x3ff == 0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => {
            let scale = f64::from_bits((u64::from(exponent) + 1023 - 15) << 52);
            scale * (1.0 + fraction / 1024.0)
        }
    };
    sign * magnitude
}

/// Narrows a finite f64 to half precision when that loses nothing.
pub(super) fn f64_to_half(value: f64) -> Option<u16> {
    let bits = value.to_bits();
    let sign = u16::try_from(bits >> 63).ok()? << 15;
    let exponent = i64::try_from((bits >> 52) & 0x7ff).ok()? - 1023;
    let fraction = bits & 0x000f_ffff_ffff_ffff;
    if bits << 1 == 0 {
        return Some(sign);
    }
    let half = if (-14..=15).contains(&exponent) {
        let biased = u16::try_from(exponent + 15).ok()? << 10;
        biased | u16::try_from(fraction >> 42).ok()?
    } else if (-24..=-15).contains(&exponent) {
        let significand = fraction | 1 << 52;
        u16::try_from(significand >> (28 - exponent)).ok()?
    } else {
        return None;
    };
    let candidate = sign | half;
    (half_to_f64(candidate).to_bits() == bits).then_some(candidate)
}

/// Narrows a finite f64 to single precision when that loses nothing.
pub(super) fn f64_to_single(value: f64) -> Option<f32> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the next line checks that nothing was lost"
    )]
    let single = value as f32;
    (f64::from(single).to_bits() == value.to_bits()).then_some(single)
}
