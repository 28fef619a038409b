// SPDX-License-Identifier: Apache-2.0

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;

// Decode prints the digest of what Java makes of all keys of up to so many bytes
// (the second argument) out of those of the first argument (in hex).
public class Decode {
    static byte[] alphabet;
    static MessageDigest digest;

    static void add(byte[] key, int at) throws Exception {
        if (at == key.length) {
            digest.update(new String(key, StandardCharsets.UTF_8).getBytes("UTF-8"));
            digest.update((byte) '\n');
            return;
        }
        for (byte b : alphabet) {
            key[at] = b;
            add(key, at + 1);
        }
    }

    public static void main(String[] args) throws Exception {
        alphabet = new java.math.BigInteger("01" + args[0], 16).toByteArray();
        alphabet = java.util.Arrays.copyOfRange(alphabet, 1, alphabet.length);
        digest = MessageDigest.getInstance("SHA-256");
        for (int n = 1; n <= Integer.parseInt(args[1]); n++) {
            add(new byte[n], 0);
        }
        System.out.println(new java.math.BigInteger(1, digest.digest()).toString(16));
    }
}
