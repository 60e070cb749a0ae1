//! Powers modulo an odd number, for RSA with a public key. All values are public, so the time may
//! depend on them.

/// Returns `base` to the power of `exponent`, modulo `modulus`, in as many bytes as `modulus` has.
/// All numbers have their highest byte first.
///
/// Montgomery's multiplication, in the form of Koc, Acar and Kaliski ("Analyzing and Comparing
/// Montgomery Multiplication Algorithms", 1996, CIOS). Takes a millisecond for 2,048 bits.
///
/// `None`: the modulus is even, or `base` has more bytes.
pub(super) fn power(base: &[u8], exponent: &[u8], modulus: &[u8]) -> Option<Vec<u8>> {
    let ring = Ring::new(modulus)?;
    let base = ring.limbs(base)?;
    let squared = ring.radix_squared();
    let mut one = vec![0; ring.modulus.len()];
    one[0] = 1;
    let base = ring.product(&base, &squared);
    let mut power = ring.product(&one, &squared);
    for byte in exponent {
        for bit in (0..8).rev() {
            power = ring.product(&power, &power);
            if byte >> bit & 1 == 1 {
                power = ring.product(&power, &base);
            }
        }
    }
    let power = ring.product(&power, &one);
    let bytes: Vec<u8> = power.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
    Some(bytes[bytes.len() - modulus.len()..].to_vec())
}

/// The numbers below a modulus. Each is a list of limbs, the lowest first.
struct Ring {
    modulus: Vec<u32>,
    /// The inverse of the lowest limb, negated, modulo 2^32.
    inverse: u32,
}

impl Ring {
    fn new(modulus: &[u8]) -> Option<Self> {
        let modulus = limbs(modulus);
        let lowest = *modulus.first().filter(|lowest| *lowest % 2 == 1)?;
        // Newton's iteration doubles the bits that are right, from three.
        let inverse = (0..4).fold(lowest, |inverse, _| {
            inverse.wrapping_mul(2_u32.wrapping_sub(lowest.wrapping_mul(inverse)))
        });
        Some(Self { modulus, inverse: inverse.wrapping_neg() })
    }

    fn limbs(&self, number: &[u8]) -> Option<Vec<u32>> {
        let mut limbs = limbs(number);
        let is_short = limbs.len() <= self.modulus.len();
        limbs.resize(self.modulus.len(), 0);
        is_short.then_some(limbs)
    }

    /// Returns the square of 2^32 to the number of limbs.
    fn radix_squared(&self) -> Vec<u32> {
        let mut number = vec![0; self.modulus.len()];
        number[0] = 1;
        for _ in 0..number.len() * 64 {
            let mut carry = 0;
            for limb in &mut number {
                (*limb, carry) = (*limb << 1 | carry, *limb >> 31);
            }
            self.reduce(&mut number, carry);
        }
        number
    }

    /// Returns `a` times `b` divided by 2^32 to the number of limbs.
    fn product(&self, a: &[u32], b: &[u32]) -> Vec<u32> {
        let count = self.modulus.len();
        let mut sum = vec![0_u32; count];
        let mut top = 0;
        for &factor in b {
            let carry = add_product(&mut sum, a, factor);
            let high = u64::from(top) + u64::from(carry);
            let multiple = sum[0].wrapping_mul(self.inverse);
            // This makes the lowest limb zero, and the sum moves down by one limb.
            let carry = add_product(&mut sum, &self.modulus, multiple);
            let high = high + u64::from(carry);
            sum.rotate_left(1);
            (sum[count - 1], top) = (high as u32, (high >> 32) as u32);
        }
        self.reduce(&mut sum, top);
        sum
    }

    /// Subtracts the modulus once, if `number` with the limb `top` above it is not below.
    fn reduce(&self, number: &mut [u32], top: u32) {
        if top == 0 && number.iter().rev().lt(self.modulus.iter().rev()) {
            return;
        }
        let mut borrow = false;
        for (limb, of_modulus) in number.iter_mut().zip(&self.modulus) {
            let (difference, first) = limb.overflowing_sub(*of_modulus);
            let (difference, second) = difference.overflowing_sub(u32::from(borrow));
            (*limb, borrow) = (difference, first || second);
        }
    }
}

/// Adds `a` times `factor` to `sum`. Returns the limb above.
fn add_product(sum: &mut [u32], a: &[u32], factor: u32) -> u32 {
    let mut carry = 0;
    for (limb, a) in sum.iter_mut().zip(a) {
        // Cannot exceed 64 bits: (2^32 - 1)^2 + 2 (2^32 - 1) is 2^64 - 1.
        let wide = u64::from(*limb) + u64::from(*a) * u64::from(factor) + u64::from(carry);
        (*limb, carry) = (wide as u32, (wide >> 32) as u32);
    }
    carry
}

fn limbs(bytes: &[u8]) -> Vec<u32> {
    let limb = |bytes: &[u8]| bytes.iter().fold(0, |limb, byte| limb << 8 | u32::from(*byte));
    bytes.rchunks(4).map(limb).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_powers_are_those_of_whole_numbers() {
        for (base, exponent, modulus, want) in
            [(65_u16, 17, 3233, 2790_u16), (2790, 2753, 3233, 65), (5, 0, 7, 1), (9, 1, 7, 2)]
        {
            let power =
                power(&base.to_be_bytes(), &u16::to_be_bytes(exponent), &u16::to_be_bytes(modulus));
            assert_eq!(power, Some(want.to_be_bytes().to_vec()));
        }
        assert_eq!(power(&[3], &[3], &[34]), None, "even");
        assert_eq!(power(&[3; 8], &[3], &[33]), None, "longer than the modulus");
    }

    /// Fermat's little theorem: for a prime `p`, every number to the power of `p - 1` is 1.
    #[test]
    fn large_powers_obey_fermat() {
        // Mersenne's primes 2^n - 1.
        for bits in [61_u32, 89, 127, 521, 2203, 3217] {
            let count = bits.div_ceil(8) as usize;
            let mut prime = vec![0xff; count];
            prime[0] = (0xff_u16 >> (count as u32 * 8 - bits)) as u8;
            let mut exponent = prime.clone();
            exponent[count - 1] -= 1;
            let mut one = vec![0; count];
            one[count - 1] = 1;
            for base in [&[2][..], &[0x12, 0x34, 0x56, 0x78, 0x9a], &prime[1..]] {
                assert_eq!(power(base, &exponent, &prime).as_ref(), Some(&one), "{bits} bits");
            }
        }
    }
}
