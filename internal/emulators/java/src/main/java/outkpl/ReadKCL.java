// SPDX-License-Identifier: Apache-2.0

package outkpl;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.reactivestreams.Subscriber;
import org.reactivestreams.Subscription;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.GetRecordsRequest;
import software.amazon.awssdk.services.kinesis.model.GetRecordsResponse;
import software.amazon.awssdk.services.kinesis.model.GetShardIteratorRequest;
import software.amazon.awssdk.services.kinesis.model.GetShardIteratorResponse;
import software.amazon.awssdk.services.kinesis.model.ProvisionedThroughputExceededException;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.StreamConfig;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.coordinator.streamInfo.StreamIdCache;
import software.amazon.kinesis.coordinator.streamInfo.StreamIdCacheManager;
import software.amazon.kinesis.coordinator.streamInfo.StreamIdOnboardingState;
import software.amazon.kinesis.coordinator.streamInfo.StreamInfoDAO;
import software.amazon.kinesis.leases.ShardInfo;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.retrieval.RecordsPublisher;
import software.amazon.kinesis.retrieval.RecordsRetrieved;
import software.amazon.kinesis.retrieval.kpl.ExtendedSequenceNumber;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * Reads shards from their start as the KCL does without enhanced fan-out: with its own classes that call GetRecords, but
 * without leases. Arguments: URL, stream, milliseconds between two reads (0: those of the KCL), shards. A line goes out
 * for each call. It ends when its standard input does.
 */
public final class ReadKCL {
    private final JsonGenerator out;

    private ReadKCL(JsonGenerator out) {
        this.out = out;
    }

    public static void main(String[] args) throws IOException {
        JsonGenerator out = new JsonFactory().createGenerator(new FileOutputStream(FileDescriptor.out));
        out.setRootValueSeparator(new com.fasterxml.jackson.core.io.SerializedString("\n"));
        new ReadKCL(out).read(args);
        out.close();
        System.exit(0); // threads of the KCL do not hold it up
    }

    private void read(String[] args) throws IOException {
        KinesisClient http = KinesisClient.builder()
                .endpointOverride(URI.create(args[0]))
                .region(Region.US_EAST_1)
                .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("test", "test")))
                // The KCL repeats calls itself.
                .overrideConfiguration(o -> o.retryStrategy(b -> b.maxAttempts(1)))
                .build();
        // Ids of streams are for the table of leases, which is not there.
        StreamIdCache.initialize(
                new StreamIdCacheManager(
                        Executors.newSingleThreadScheduledExecutor(),
                        new StreamInfoDAO(null, null),
                        Map.of(),
                        StreamIdOnboardingState.NOT_ONBOARDED,
                        false,
                        new NullMetricsFactory()),
                StreamIdOnboardingState.NOT_ONBOARDED);
        List<RecordsPublisher> publishers = new ArrayList<>();
        for (int i = 3; i < args.length; i++) {
            PollingConfig polling = new PollingConfig(args[1], new Client(http, args[i]));
            if (Long.parseLong(args[2]) > 0) {
                polling.idleTimeBetweenReadsInMillis(Long.parseLong(args[2]));
                polling.usePollingConfigIdleTimeValue(true);
            }
            InitialPositionInStreamExtended start =
                    InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON);
            RecordsPublisher publisher = polling.retrievalFactory().createGetRecordsCache(
                    new ShardInfo(args[i], "token", List.of(), ExtendedSequenceNumber.TRIM_HORIZON),
                    new StreamConfig(StreamIdentifier.singleStreamInstance(args[1]), start), new NullMetricsFactory());
            publisher.start(ExtendedSequenceNumber.TRIM_HORIZON, start);
            publisher.subscribe(new Consumer(publisher));
            publishers.add(publisher);
        }
        while (System.in.read() >= 0) {
            // Nothing is told that way but the end.
        }
        publishers.forEach(RecordsPublisher::shutdown);
    }

    private synchronized void line(String shard, int records, long bytes, long behind, boolean throttled) {
        try {
            out.writeStartObject();
            out.writeStringField("shard", shard);
            out.writeNumberField("records", records);
            out.writeNumberField("bytes", bytes);
            out.writeNumberField("behind", behind);
            out.writeBooleanField("throttled", throttled);
            out.writeEndObject();
            out.flush();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Takes what is read at once. */
    private static final class Consumer implements Subscriber<RecordsRetrieved> {
        private final RecordsPublisher publisher;
        private Subscription subscription;

        Consumer(RecordsPublisher publisher) {
            this.publisher = publisher;
        }

        @Override
        public void onSubscribe(Subscription s) {
            subscription = s;
            s.request(1);
        }

        @Override
        public void onNext(RecordsRetrieved r) {
            publisher.notify(r::batchUniqueIdentifier);
            subscription.request(1);
        }

        @Override
        public void onError(Throwable t) {
            t.printStackTrace();
        }

        @Override
        public void onComplete() {
            // A shard that has ended has nothing more.
        }
    }

    /** The calls of the KCL, made by the SDK's client that waits, so that no other HTTP client is needed. */
    private final class Client implements KinesisAsyncClient {
        private final KinesisClient http;
        private final String shard;
        private final ExecutorService threads = Executors.newCachedThreadPool();

        Client(KinesisClient http, String shard) {
            this.http = http;
            this.shard = shard;
        }

        @Override
        public CompletableFuture<GetRecordsResponse> getRecords(GetRecordsRequest request) {
            return CompletableFuture.supplyAsync(() -> {
                try {
                    GetRecordsResponse answer = http.getRecords(request);
                    long bytes = 0;
                    for (Record r : answer.records()) {
                        bytes += r.data().asByteArrayUnsafe().length + r.partitionKey().length();
                    }
                    line(shard, answer.records().size(), bytes, answer.millisBehindLatest(), false);
                    return answer;
                } catch (ProvisionedThroughputExceededException e) {
                    line(shard, 0, 0, 0, true);
                    throw e;
                }
            }, threads);
        }

        @Override
        public CompletableFuture<GetShardIteratorResponse> getShardIterator(GetShardIteratorRequest request) {
            return CompletableFuture.supplyAsync(() -> http.getShardIterator(request), threads);
        }

        @Override
        public String serviceName() {
            return SERVICE_NAME;
        }

        @Override
        public void close() {
            threads.shutdownNow();
        }
    }
}
