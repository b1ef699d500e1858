//! RSA beyond what the vectors of others have: moduli of odd lengths, signatures that are no number below the
//! modulus, exponents at their bounds.

use authgear_filter::jose::{Algorithm, KeySet};
use serde_json::json;

use crate::host::backends;
use crate::issuer::{RSA_N, base64url, from_base64url};

fn keys(n: &str, e: &[u8]) -> Option<KeySet> {
    let set = json!({"keys": [{"kty": "RSA", "n": n, "e": base64url(e)}]});
    KeySet::parse(set.to_string().as_bytes()).ok()
}

fn is_verified(keys: &KeySet, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
    let [(_, portable), (_, host)] = backends();
    let key = &keys.keys()[0];
    let verified = portable.verify(key, algorithm, message, signature);
    assert_eq!(host.verify(key, algorithm, message, signature), verified, "{algorithm}: {signature:02x?}");
    verified
}

#[test]
fn moduli_whose_length_is_not_one_of_whole_bytes_verify_their_own_signatures_only() {
    for odd in &ODD {
        let keys = keys(odd.n, &[1, 0, 1]).unwrap();
        for (algorithm, signature) in
            [(Algorithm::Rs256, odd.rs256), (Algorithm::Ps256, odd.ps256), (Algorithm::Ps512, odd.ps512)]
        {
            let signature = from_base64url(signature);
            for other in Algorithm::ALL {
                let verified = is_verified(&keys, other, b"message", &signature);
                assert_eq!(verified, other == algorithm, "{} bits, {algorithm} as {other}", odd.bits);
            }
            assert!(!is_verified(&keys, algorithm, b"massage", &signature));
            for at in [0, 1, 100, signature.len() - 1] {
                let mut changed = signature.clone();
                changed[at] ^= 1;
                assert!(!is_verified(&keys, algorithm, b"message", &changed), "{} bits, {at}", odd.bits);
            }
        }
    }
}

#[test]
fn a_signature_that_is_not_below_the_modulus_or_not_as_long_is_refused() {
    for n in ODD.iter().map(|odd| odd.n).chain([RSA_N]) {
        let keys = keys(n, &[1, 0, 1]).unwrap();
        let modulus = from_base64url(n);
        let length = modulus.len();
        let mut above = modulus.clone();
        above[length - 1] += 1; // It is odd, so nothing carries.
        let mut below = modulus.clone();
        below[length - 1] -= 1;
        let one = [vec![0; length - 1], vec![1]].concat();
        for signature in [
            modulus,
            above,
            below,
            one,
            vec![0; length],
            vec![0xff; length],
            vec![0; length - 1],
            vec![0; length + 1],
            vec![1; 2 * length],
            Vec::new(),
        ] {
            for algorithm in Algorithm::ALL {
                assert!(
                    !is_verified(&keys, algorithm, b"message", &signature),
                    "{algorithm}: {signature:02x?}"
                );
            }
        }
    }
}

#[test]
fn an_exponent_is_odd_and_from_3_to_33_bits() {
    for (exponent, is_usable) in [
        (0_u64, false),
        (1, false),
        (2, false),
        (3, true),
        (4, false),
        (65_537, true),
        ((1 << 33) - 1, true),
        (1 << 33, false),
        ((1 << 33) + 1, false),
        (u64::MAX, false),
    ] {
        assert_eq!(keys(RSA_N, &exponent.to_be_bytes()).is_some(), is_usable, "{exponent}");
    }
    assert!(keys(RSA_N, &from_base64url(RSA_N)).is_none(), "an exponent that is the modulus");
}

/// A key with the exponent 65537, and its signatures of `message`; made by a program that shares no code.
struct Odd {
    bits: usize,
    n: &'static str,
    rs256: &'static str,
    ps256: &'static str,
    ps512: &'static str,
}

const ODD: [Odd; 3] = [
    Odd {
        bits: 2049,
        n: "AYl8s6x4xEHNxbPZBAzh9v9X_JDHQdVc9LJc7HwzJnt1KBhmKzCIN44m26vkClQ9dzzp-F2cbSiAZmSaoartzpWwed-0epqc7Tp83SzOGEcl3mRcsY6sw5G-hc-aLopLiH8ZDX0RuGjw_3_guKrK6xj6AYp-tLGPlZlhIXqiKo3R3UZJK_tNY3-xw8a__WoM6UQUkfWpxPxGpec8syGDGL9n3MJaggKy3Ff1ZMAU9lDVzFGKoBkhWl2V9X1NMZkCs40Y5yPde1mWMhHP6LYVLofW-djOMZqtGRnlYOLNmZfjfwTj1nBBuR4RYPRqoPLlGFiW8C8pkJdigdC_1Scmuhk",
        rs256: "APCtQaik-VMUH1b0QYLi-lx8apg4kbNQkG5hkDaBYbOFV75-lckf1xyJ1LDdgkdFsv3yfJym_REsD2vAQggiRYu8eZZrmLDXmMZfYlSblekJkWOj_No2l-HQ92yWRr-2vk0FCwCvUq0P8SzDoMv1R_-UAqq0vgjlZ7QQrgyTF8T8RkW0r0kSSXzl7ChEkS6jw24efLsH1JONRCK7qoTxj1SbjlxjKHF4iDpzuk2GllVAuj30NdhluV7uVX3S_OaE9KECgnJcCRGmIp01orsJiBky1mIL3_2ePAA9vAwU-1jSC0DUCEiBtPKOpFgEY35bSqwPScovCnpPUnOXQ2uJ0Gw",
        ps256: "AMrzafLLwQMp-OOnPDZeIClTx0_798CTOF_eNBncRmNqsT3wl35pFpFW5_6dI9tZf63uvSTq1apT3Kxld4vSgb-by-KCSr2Zt4Utw0gsVm-G5DCmkKHETzuoUuwSklTP1DUD5pswwrIImWtrzvDIfj9Or0HD4bfoa75x65N6sDJHYv8I5uFy8H95xkkBqvU7iFso2E7QcA9V2Zr4AofN7-gFBAmmuXdh67YtLc6zA_v5RpZ1fZyMLalgS7-2Co79d6eaGh0OgnZZTrwAKSQUgqy__YHITwAomuESuvC10lcvbozQwwJ7JjLKQbALcmsMgkNhKJEaW1LDFwc1y4Pq0Wo",
        ps512: "AYhB7mBP8ZVZrbeu_oJEtTcsQSW89eOsrVZAAWB0PllEuKQJK_cRxZPl8J_jWLaJycdsZTLarNmIcFlhsoN8cKcrnbHVSd8GLW5oisBHPhBBfCEGrxeTjx3fhX4G7ZikEuSUXroMvw6TyFMePATfxA33PzACQXG8UJVSg48dkE2xmiKtMyrJuh3jkKY1HqDMSjKgZB5Id3XsQH8OEJ6_ljUCPxEK5niBWSijbByaFwLf_g6Oaw8LmSOjqcoyiaC_tFhGPjrwK2RdbBDPeUZv5LbBOTUsA16p13cmbq2uRxq4nGtZmzJMnU_tQtvPGV0KXbJQS2N307wOwGT5r7r3xaU",
    },
    Odd {
        bits: 2052,
        n: "Cpg3NwMkFI3xkfqoaGCAJIF9sXhY2ryGTYmeVf4sfjIAKCW_6MeDyWlPdmqWS9AWrRjTXDZNn20lbqgoXU8A2Qd9e9i3LQFAv8eHFIo-YsEgszjvZPNbalZcLNBXhaV8boQmHrgs-kepmiwwLGApxJC_hrzIZvhDB0uBEP2Bhik6Q4JegQyx69QyJ_1FPF1j0Wwrz6YrHtR4GePYNCTN37Qm0ilvVV1NNe037SZC0T0YlnYieanaQf6XmHxKW4Wlce3tBoUENvZ3Au_4VsLn1ZrkhS8YN_0nHxk7OKtVTpFpHtZUj8HVwaaBC6L_fkgcusVWAQKtH7bI6pcfSqm04aM",
        rs256: "BCyLmqK4TiyQpLVfd6OV6EtDPM-QPkEYDf9hfTES2YxSYJsXyxXfl8rAJrkISZUW0CYQI2aeC79bvqN-_cKhKdnKKAdP7Ez-FsnpjOFO7V479KH0s-cBLBNDJGb2YKTzoYyAdKXP9GK0JhlEWPHDH1yI6W8lpej3LvdcunsRKB8VZ7ufL2nA4WUSvVtYEvaRoRlSFemw4S5t84nOBmnfgsDXGtmrgGap9I9BBS3I6Wks8jfjS9WsYEkXgcvgedqoXwVB8zcflzp4_zY0pLZbvzP8QCkTHEBzYjhqMiKwZwY5PeD4ggKOG6Z5w1XrUBtBwHEMYphmpx_TwmpfAjBkBxM",
        ps256: "CEssIjkRttpzN3heyBkf68y5sj8OkNQJPXxgYi-9P5FW7uSJpBwI3LjqHSdY9GZ_J1dUq7hKq9WWnJ9JlJcoRTt7zCgxKJGaiW4K9asrvqFHao30FkwVNHB8F51KWr55QDRIoGvEkmvkAAo6eUy9n96tlMA8e25w93okq2XDlHqN2nK1Iyfz3Y8_hQKMuVc5f4iT36crGlCJVRuwp-YoRgK7wzSx8cEnD2yTsDV4hGkia8ZYfHKE1X1Ymmq6KjFQf6nILXl0u73_bVY9y_CS8qLmg_Jn6Y8NbPfznshQCk91HFDSxmjTklEa8aIJ9DOZ-wlsPHCDVL-j_I5skjTanIg",
        ps512: "BsB4UjLH1WiWz6rVpqalwTXE4Eq34-uJN62H-VJjsMy2mW64oEHGceie4jxZ5Pd1jEzimebJOwUpklo1bBxOPrMFkNxFE5tXp5vCBHPpLu94ZmvPim_Sy5Jtqg2ehCaoxCldO0P-qRABo4zFkL08BwWO0UvEGdcQRAn2QYHErsDgwhVyh0MEjPaAl0chv4FDNc5n2IqdYFEGRA32rHhG5DVdkA-CfQuz0-mMAuQsDDrnYO6ZXL85XZDoPHr0r3B_jARU-0Ljld1f5N2UJJGlJZRf5WKqJ2uQWnY4lIoRQpGlU3yS8641owVaBdd498ngEFlKThdBbEPOF5SmSITlAXE",
    },
    Odd {
        bits: 2055,
        n: "VwlQujScHlfle6VAJ0OcD37ejTkzne5SNyzLWPGc0LfobM4QoxwSZXNbwqTGYu2MlHV-_C7kLtNIs-YOMWA37sZEu_oqsWzdE2GfEigKDbXCkvjAM7P2xaCB9x9OVYyDAP3o5FGNw1Q_73c_IeYMeDHjp6H1Is2-EkoKFjst4Iqzwn62-JDsH4ucAsPMKOlyCISBHnWnYLnJH3dUju5psVL2bva1RzP4SCMlEq7-4agX4ueQ2A1oveDoRWWE0W7kP74HXpme-bOzVCMAkL8XOOtzjtId0PG2HPUm8DRkqIVjUqjun4xBazUKrOLUEtvzwuM3p8FFEP7ZyX72hF5C3xc",
        rs256: "LhALFYjXfe3XnUUCVldKZT-NTOqY4iQ6LwXJF3PoeoXBJu6ySspGQl7p-c-NnmVmVigFBv6mLJBTPJlSaq-aiyoF_L8FhvH894A3ds_GQVBRulzSAF2h8kf5Bfi3gm6LjeYIr0PfjVwkuvkvwoFij-0XsieFymGYjM-UsN4V_H5br7T4XmnP4goAMM7s2orgrJtE2VV73_k0Cg8bFlckxQmOcr6T1spS6RlBSpCHtL-yxVNaW_do57cBuYneMYGzjGbO3UwzzoISHLN5pKdZlWB-K6zg_iBgUmNCVXnUvwmi-ofJQvimAmv6zMB1y17bLNeHLEOTn5uQHdugZRcqT9M",
        ps256: "LUs3pas70e6HsyOMYxe6hXM48Wf3qVP9tu3B42eWJNyEZxvyxDmpELH73CStyXX3a5iW7IizIcEtongBTovMerMedBSxuXxeNq3zT3vYfT3wu0yQXJ-wkSCbWC8U9D5xfPEyBunIQn_j4v3YIB17nfhBmQYflvLAIfbr33GuNY3mNgcL-2aVHTFEc-WxDQZAov6xzUoLi7kNcDOaBoU_DX5LuATd5S51_IyyQ0ltucieXA3AkONxyNeZBQK_jBb9nzEio0MkXEZEXx7eN4OMzplk5qBkeOMaJ3sMk2J2wIdURFBIWPULB6q29IyeWckcNWvCtOf1tme4Jw2sY3ObbRk",
        ps512: "Bat0FGm9PF9IDHAEyCyy9hJ7kWqKF24lOaKbuIusX6fWtI_tKHkxY7fDmZ73I-sUTmdKSewMYn6Lbhlk4K1-3ACRGSqKNYAK89oGH6zNCfBfDAJqqif1GquJaqmu2AgEq6BE54IzMWc43WfEpZmZxpE1_Soa6skKIosxRN_-yYY0NdaondV6NoIrrBtQADBHJ5uxcg-FlaQFY281S7Epmhmo0EjqGE0szLRPY77F_gxfMU5jVB6YKrmsRHlpW01xnYy3JoWN47FaBAKz8Sz0YGNiHqztdGV_1I_g2MJKF1umdwmS7zS_s40URdXyy2KG_KY4idNZKcGYuoOv3TfLOuo",
    },
];
