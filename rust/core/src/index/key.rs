//! Distances and identities in one integer, so that one comparison orders both.

/// The bits of `distance` as an integer of the same order. `distance` must not be NaN.
#[inline(always)]
pub fn ordered(distance: f32) -> u32 {
    // -0.0 and 0.0 must tie.
    let bits = (distance + 0.0).to_bits();
    if bits >> 31 == 0 {
        bits | 1 << 31
    } else {
        !bits
    }
}

/// The distance that [`ordered`] was given.
#[inline(always)]
pub fn distance(ordered: u32) -> f32 {
    f32::from_bits(if ordered >> 31 == 1 {
        ordered & !(1 << 31)
    } else {
        !ordered
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_value_survive() {
        let sorted = [
            f32::NEG_INFINITY,
            -2.5,
            -1e-40,
            0.0,
            1e-40,
            3.0,
            f32::INFINITY,
        ];
        for pair in sorted.windows(2) {
            assert!(ordered(pair[0]) < ordered(pair[1]));
        }
        for value in sorted {
            assert_eq!(distance(ordered(value)), value);
        }
        assert_eq!(ordered(-0.0), ordered(0.0));
    }
}
