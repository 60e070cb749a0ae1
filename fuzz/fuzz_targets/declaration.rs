#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| afterall_fuzz::declaration(input));
