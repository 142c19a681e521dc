//! Weighted differences of rows, as AVX2 and AVX-512 share them but for the width of registers.

/// What [`super::Table::differences`] does, block of columns by block of columns.
macro_rules! differences {
    ($name:ident, $features:literal, $scalar:ty, $vector:ty, $lanes:literal,
     $load:ident, $store:ident, $set:ident, $add:ident, $mul:ident, $fma:ident, $fnma:ident,
     [$($registers:literal),+]) => {
        #[target_feature(enable = $features)]
        unsafe fn $name(
            links: Links<'_, $scalar>,
            center: &[$scalar],
            x: &[$scalar],
            y: Option<&mut [$scalar]>,
            squares: bool,
        ) -> $scalar {
            /// How many entries ahead rows are fetched: 12 rows of a block fill a fraction of L1, and
            /// a gather of random rows took a tenth less time than with 6.
            const AHEAD: usize = 12;
            const LINE: usize = 64 / size_of::<$scalar>();

            /// Columns `start..start + REGISTERS * lanes`.
            #[target_feature(enable = $features)]
            unsafe fn block<const REGISTERS: usize, const SUMS: bool, const SQUARES: bool>(
                links: Links<'_, $scalar>,
                center: &[$scalar],
                x: &[$scalar],
                y: &mut [$scalar],
                start: usize,
            ) -> $scalar {
                let cols = center.len();
                let mut origin: [$vector; REGISTERS] = [$set(0.0); REGISTERS];
                for (i, origin) in origin.iter_mut().enumerate() {
                    // SAFETY: the caller promises that `center` has these columns.
                    *origin = unsafe { $load(center.as_ptr().add(start + i * $lanes)) };
                }
                let mut sums: [$vector; REGISTERS] = [$set(0.0); REGISTERS];
                let mut squares: [$vector; REGISTERS] = [$set(0.0); REGISTERS];
                for (k, &index) in links.indices[..links.count].iter().enumerate() {
                    if let Some(&next) = links.indices.get(k + AHEAD) {
                        let row = x.as_ptr().wrapping_add(next as usize * cols + start);
                        for line in 0..(REGISTERS * $lanes).div_ceil(LINE) {
                            _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(line * LINE).cast());
                        }
                        // Rows of a NumPy array begin 16 bytes into a line and end in one more.
                        let last = row.wrapping_add(REGISTERS * $lanes - 1);
                        _mm_prefetch::<_MM_HINT_T0>(last.cast());
                    }
                    let weight = $set(links.weights.map_or(1.0, |weights| weights[k]));
                    let scale = $set(links.scales.map_or(1.0, |scales| scales[k]));
                    let row = x.as_ptr().wrapping_add(index as usize * cols + start);
                    for i in 0..REGISTERS {
                        // SAFETY: the caller promises that row `index` lies in `x`.
                        let value = unsafe { $load(row.add(i * $lanes)) };
                        let difference = $fnma(scale, value, origin[i]);
                        if SQUARES {
                            let weighted = $mul(weight, difference);
                            squares[i] = $fma(weighted, difference, squares[i]);
                            if SUMS {
                                sums[i] = $add(sums[i], weighted);
                            }
                        } else {
                            sums[i] = $fma(weight, difference, sums[i]);
                        }
                    }
                }
                if SUMS {
                    for (i, &sum) in sums.iter().enumerate() {
                        // SAFETY: the caller promises that `y` has these columns.
                        unsafe {
                            let place = y.as_mut_ptr().add(start + i * $lanes);
                            $store(place, $add($load(place), sum));
                        }
                    }
                }
                if !SQUARES {
                    return 0.0;
                }
                let total = squares.into_iter().fold($set(0.0), |sum, part| $add(sum, part));
                let mut lanes: [$scalar; $lanes] = [0.0; $lanes];
                // SAFETY: the array holds one register's worth of values.
                unsafe { $store(lanes.as_mut_ptr(), total) };
                let mut width = $lanes / 2;
                while width > 0 {
                    for i in 0..width {
                        lanes[i] += lanes[i + width];
                    }
                    width /= 2;
                }
                lanes[0]
            }

            #[target_feature(enable = $features)]
            unsafe fn run<const SUMS: bool, const SQUARES: bool>(
                links: Links<'_, $scalar>,
                center: &[$scalar],
                x: &[$scalar],
                y: &mut [$scalar],
            ) -> $scalar {
                let cols = center.len();
                let (mut start, mut total) = (0, 0.0);
                $(while cols - start >= $registers * $lanes {
                    // SAFETY: these columns exist; the caller promises the rows.
                    total += unsafe {
                        block::<$registers, SUMS, SQUARES>(links, center, x, y, start)
                    };
                    start += $registers * $lanes;
                })+
                for column in start..cols {
                    let mut sum = 0.0;
                    for (k, &index) in links.indices[..links.count].iter().enumerate() {
                        let scale = links.scales.map_or(1.0, |scales| scales[k]);
                        // SAFETY: the caller promises that row `index` lies in `x`.
                        let value = unsafe { *x.get_unchecked(index as usize * cols + column) };
                        let difference = (-scale).mul_add(value, center[column]);
                        let weighted = links.weights.map_or(1.0, |weights| weights[k]) * difference;
                        sum += weighted;
                        if SQUARES {
                            total = weighted.mul_add(difference, total);
                        }
                    }
                    if SUMS {
                        y[column] += sum;
                    }
                }
                total
            }

            // SAFETY: the caller's promises are passed on.
            unsafe {
                match (y, squares) {
                    (Some(y), true) => run::<true, true>(links, center, x, y),
                    (Some(y), false) => run::<true, false>(links, center, x, y),
                    (None, _) => run::<false, true>(links, center, x, &mut []),
                }
            }
        }
    };
}

pub(super) use differences;
