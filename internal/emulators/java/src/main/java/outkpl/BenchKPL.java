// SPDX-License-Identifier: Apache-2.0

package outkpl;

import com.google.common.util.concurrent.ListenableFuture;
import com.google.common.util.concurrent.MoreExecutors;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordResult;

/**
 * Loads the KPL as internal/peerbench loads the producer. Arguments: port of 127.0.0.1, stream, folder for the native
 * program, mode (full, rate or overload), records (with overload: seconds), bytes of a record, records a second. It
 * prints seconds, median and 99th percentile of the latency in ms, and those of records whose caller waits.
 */
public final class BenchKPL {
    private static final int MOST_OUTSTANDING = 50_000;

    private BenchKPL() {}

    public static void main(String[] args) throws InterruptedException, ExecutionException {
        long port = Long.parseLong(args[0]);
        String stream = args[1];
        String mode = args[3];
        int records = Integer.parseInt(args[4]);
        int size = Integer.parseInt(args[5]);
        int rate = Integer.parseInt(args[6]);
        KinesisProducerConfiguration config = RunKPL.local(new KinesisProducerConfiguration(), port, args[2]);
        if (mode.equals("full")) {
            config.setRateLimit(1_000_000); // no limit on the pace
        }
        KinesisProducer kpl = new KinesisProducer(config);
        byte[] data = new byte[1 << 20];
        new Random(1).nextBytes(data);
        Load load = new Load(kpl, stream, data, size, mode.equals("overload") ? 0 : records);
        kpl.addUserRecord(stream, "first", ByteBuffer.wrap(data, 0, size)).get(); // the start is not measured
        long start = System.nanoTime();
        double[] waited = {};
        switch (mode) {
            case "full" -> {
                for (int i = 0; i < records; i++) {
                    load.put(i);
                }
                kpl.flush();
                load.await();
            }
            case "rate" -> {
                Waiter waiter = new Waiter(load, records / Math.max(rate, 1) * 10);
                waiter.start();
                for (int i = 0; i < records; i++) {
                    long due = start + i * 1_000_000_000L / rate;
                    while (System.nanoTime() < due) {
                        Thread.sleep(1);
                    }
                    load.put(i);
                }
                load.await();
                waiter.join();
                waited = waiter.times;
            }
            default -> {
                for (int i = 0; System.nanoTime() < start + records * 1_000_000_000L; i++) {
                    load.put(i);
                }
            }
        }
        System.out.printf(
                Locale.ROOT, "%.3f %.1f %.1f %.1f %.1f%n", (System.nanoTime() - start) / 1e9, load.percentile(50), load.percentile(99),
                percentile(waited, 50), percentile(waited, 99));
        kpl.destroy();
        System.exit(0); // it leaves threads behind
    }

    private static double percentile(double[] sorted, int p) {
        return sorted.length == 0 ? 0 : sorted[Math.min(sorted.length - 1, sorted.length * p / 100)];
    }

    /** Records on their way. */
    private static final class Load {
        private final KinesisProducer kpl;
        private final String stream;
        private final byte[] data;
        private final int size;
        private final double[] times;
        private final AtomicInteger done = new AtomicInteger();
        private final Random keys = new Random(2);

        Load(KinesisProducer kpl, String stream, byte[] data, int size, int measured) {
            this.kpl = kpl;
            this.stream = stream;
            this.data = data;
            this.size = size;
            this.times = new double[measured];
        }

        void put(int i) throws InterruptedException {
            while (kpl.getOutstandingRecordsCount() > MOST_OUTSTANDING) {
                Thread.sleep(1); // as its documentation has it: nothing else bounds its memory
            }
            long start = System.nanoTime();
            ListenableFuture<UserRecordResult> f = kpl.addUserRecord(stream, String.format("%016x", keys.nextLong()), payload(i));
            if (i >= times.length) {
                return;
            }
            f.addListener(
                    () -> {
                        try {
                            f.get();
                        } catch (InterruptedException | ExecutionException e) {
                            System.err.println(e);
                            System.exit(1);
                        }
                        times[i] = (System.nanoTime() - start) / 1e6;
                        done.incrementAndGet();
                    },
                    MoreExecutors.directExecutor());
        }

        ByteBuffer payload(int i) {
            return ByteBuffer.wrap(data, (int) ((long) i * size % (data.length - size)), size);
        }

        void await() throws InterruptedException {
            while (done.get() < times.length) {
                Thread.sleep(1);
            }
        }

        double percentile(int p) {
            double[] sorted = times.clone();
            Arrays.sort(sorted);
            return BenchKPL.percentile(sorted, p);
        }
    }

    /** Waits for a record, ten times a second. */
    private static final class Waiter extends Thread {
        private final Load load;
        private final double[] times;

        Waiter(Load load, int n) {
            this.load = load;
            this.times = new double[n];
        }

        @Override
        public void run() {
            try {
                for (int i = 0; i < times.length; i++) {
                    long start = System.nanoTime();
                    load.kpl.addUserRecord(load.stream, "waiter-" + i, load.payload(i)).get();
                    times[i] = (System.nanoTime() - start) / 1e6;
                    Thread.sleep(Math.max(0, 100 - (System.nanoTime() - start) / 1_000_000));
                }
            } catch (InterruptedException | ExecutionException e) {
                throw new IllegalStateException(e);
            }
            Arrays.sort(times);
        }
    }
}
