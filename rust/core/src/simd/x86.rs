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

/// `c = alpha · a · b (+ c)` for one tile of up to two registers' width, held in registers.
///
/// Each value has one accumulator to which products are added in the order of the inner dimension,
/// so that it does not depend on the tile it falls into.
macro_rules! tile {
    ($name:ident, $features:literal, $scalar:ty, $vector:ty, $lanes:literal,
     $load:ident, $store:ident, $set:ident, $mul:ident, $fma:ident, $most:literal,
     [$($rows:literal),+]) => {
        #[target_feature(enable = $features)]
        unsafe fn $name(alpha: $scalar, a: &[$scalar], b: &[$scalar], add: bool, c: Block<$scalar>) {
            const COLS: usize = 2 * $lanes;

            /// Writes whole registers, `WIDTH` of them in a row.
            #[target_feature(enable = $features)]
            unsafe fn run<const ROWS: usize, const WIDTH: usize>(
                alpha: $scalar,
                a: &[$scalar],
                b: &[$scalar],
                add: bool,
                c: Block<$scalar>,
            ) {
                let mut sums: [[$vector; WIDTH]; ROWS] = [[$set(0.0); WIDTH]; ROWS];
                let (mut left, mut right) = (a.as_ptr(), b.as_ptr());
                for _ in 0..b.len() / COLS {
                    let mut step = [$set(0.0); WIDTH];
                    // SAFETY: the caller promises as many steps in `a` as in `b`.
                    unsafe {
                        for (j, value) in step.iter_mut().enumerate() {
                            *value = $load(right.add(j * $lanes));
                        }
                        for (i, row) in sums.iter_mut().enumerate() {
                            let value = $set(*left.add(i));
                            for (sum, &step) in row.iter_mut().zip(&step) {
                                *sum = $fma(value, step, *sum);
                            }
                        }
                        left = left.add(ROWS);
                        right = right.add(COLS);
                    }
                }
                let scale = $set(alpha);
                for (i, row) in sums.iter().enumerate() {
                    for (j, &sum) in row.iter().enumerate() {
                        // SAFETY: the caller promises that `c` has these rows and columns.
                        unsafe {
                            let place = c.data.add(i * c.stride + j * $lanes);
                            let value = if add {
                                $fma(scale, sum, $load(place))
                            } else {
                                $mul(scale, sum)
                            };
                            $store(place, value);
                        }
                    }
                }
            }

            if c.cols == COLS {
                match c.rows {
                    // SAFETY: the caller's promises are passed on.
                    $($rows => unsafe { run::<$rows, 2>(alpha, a, b, add, c) },)+
                    _ => {}
                }
                return;
            }
            // Narrower tiles are made aside; a factor of 1 changes nothing.
            let mut values: [$scalar; $most * COLS] = [0.0; $most * COLS];
            let aside = Block { data: values.as_mut_ptr(), stride: COLS, ..c };
            let narrow = c.cols <= $lanes;
            match c.rows {
                $($rows => {
                    // SAFETY: `values` holds as many rows of two registers as a tile has.
                    unsafe {
                        if narrow {
                            run::<$rows, 1>(1.0, a, b, false, aside);
                        } else {
                            run::<$rows, 2>(1.0, a, b, false, aside);
                        }
                    }
                })+
                _ => {}
            }
            for (i, row) in values.as_chunks::<COLS>().0.iter().enumerate().take(c.rows) {
                for (j, &value) in row.iter().enumerate().take(c.cols) {
                    // SAFETY: the caller promises that `c` has these rows and columns.
                    unsafe {
                        let place = c.data.add(i * c.stride + j);
                        *place = if add { alpha.mul_add(value, *place) } else { alpha * value };
                    }
                }
            }
        }
    };
}

pub(super) use {sum_rows, tile};
