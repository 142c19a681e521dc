//! Kernels that AVX2 and AVX-512 share but for the width of their registers.

/// `y = Σₖ weightsₖ · x[indicesₖ]`, a row of a sparse product.
///
/// A block of columns stays in registers while the row's entries are walked, in their order, so
/// that a value does not depend on the block it falls into.
macro_rules! sum_rows {
    ($name:ident, $features:literal, $scalar:ty, $vector:ty, $lanes:literal,
     $load:ident, $store:ident, $set:ident, $fma:ident, [$($registers:literal),+]) => {
        #[target_feature(enable = $features)]
        unsafe fn $name(indices: &[i32], weights: Option<&[$scalar]>, x: &[$scalar], y: &mut [$scalar]) {
            /// How many entries ahead rows are fetched.
            const AHEAD: usize = 4;
            const LINE: usize = 64 / size_of::<$scalar>();

            /// Columns `start..start + REGISTERS * lanes`.
            #[target_feature(enable = $features)]
            unsafe fn block<const REGISTERS: usize>(
                indices: &[i32],
                weights: Option<&[$scalar]>,
                x: &[$scalar],
                y: &mut [$scalar],
                start: usize,
            ) {
                let cols = y.len();
                let mut sums: [$vector; REGISTERS] = [$set(0.0); REGISTERS];
                for (k, &index) in indices.iter().enumerate() {
                    if let Some(&next) = indices.get(k + AHEAD) {
                        let row = x.as_ptr().wrapping_add(next as usize * cols + start);
                        for line in 0..(REGISTERS * $lanes).div_ceil(LINE) {
                            _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(line * LINE).cast());
                        }
                    }
                    let weight = $set(weights.map_or(1.0, |weights| weights[k]));
                    // SAFETY: the caller promises that row `index` lies in `x`.
                    unsafe {
                        let row = x.as_ptr().add(index as usize * cols + start);
                        for (i, sum) in sums.iter_mut().enumerate() {
                            *sum = $fma($load(row.add(i * $lanes)), weight, *sum);
                        }
                    }
                }
                for (i, &sum) in sums.iter().enumerate() {
                    // SAFETY: the caller promises that `y` has these columns.
                    unsafe { $store(y.as_mut_ptr().add(start + i * $lanes), sum) };
                }
            }

            let cols = y.len();
            let mut start = 0;
            $(while cols - start >= $registers * $lanes {
                // SAFETY: these columns exist; the caller promises the rows.
                unsafe { block::<$registers>(indices, weights, x, y, start) };
                start += $registers * $lanes;
            })+
            for column in start..cols {
                let mut sum: $scalar = 0.0;
                for (k, &index) in indices.iter().enumerate() {
                    // SAFETY: the caller promises that row `index` lies in `x`.
                    let value = unsafe { *x.get_unchecked(index as usize * cols + column) };
                    sum = value.mul_add(weights.map_or(1.0, |weights| weights[k]), sum);
                }
                y[column] = sum;
            }
        }
    };
}

pub(super) use sum_rows;
