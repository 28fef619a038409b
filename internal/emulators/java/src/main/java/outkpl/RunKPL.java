// SPDX-License-Identifier: Apache-2.0

package outkpl;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.google.common.util.concurrent.ListenableFuture;
import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.kinesis.producer.Attempt;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordFailedException;
import software.amazon.kinesis.producer.UserRecordResult;

/**
 * Writes user records through the KPL. Arguments: port of 127.0.0.1, stream, folder for the native program, and options
 * of the KPL as Name=value. One record comes in a line; one result goes out a line for each, in the same order.
 */
public final class RunKPL {
    private RunKPL() {}

    /** Every endpoint there is points to this machine, so that nothing leaves it. */
    static KinesisProducerConfiguration local(KinesisProducerConfiguration config, long port, String temp) {
        return config
                .setRegion("us-east-1")
                .setCredentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("test", "test")))
                .setKinesisEndpoint("127.0.0.1")
                .setKinesisPort(port)
                .setCloudwatchEndpoint("127.0.0.1")
                .setCloudwatchPort(port)
                .setStsEndpoint("127.0.0.1")
                .setStsPort(port)
                .setVerifyCertificate(false)
                .setMetricsLevel("none")
                .setTempDirectory(temp);
    }

    public static void main(String[] args) throws IOException, InterruptedException {
        Properties options = new Properties();
        for (int i = 3; i < args.length; i++) {
            String[] option = args[i].split("=", 2);
            options.setProperty(option[0], option[1]);
        }
        KinesisProducerConfiguration config = local(
                KinesisProducerConfiguration.fromProperties(options), Long.parseLong(args[0]), args[2]);
        KinesisProducer kpl = new KinesisProducer(config);
        try {
            List<ListenableFuture<UserRecordResult>> results = write(kpl, args[1]);
            kpl.flush(); // once: the wait for the rest is part of what it does
            print(results);
        } finally {
            kpl.destroy();
        }
        System.exit(0); // it leaves threads behind
    }

    private static List<ListenableFuture<UserRecordResult>> write(KinesisProducer kpl, String stream)
            throws IOException {
        List<ListenableFuture<UserRecordResult>> results = new ArrayList<>();
        try (JsonParser in = new JsonFactory().createParser(System.in)) {
            while (in.nextToken() == JsonToken.START_OBJECT) {
                String partitionKey = null;
                String explicitHashKey = null;
                byte[] data = new byte[0];
                while (in.nextToken() != JsonToken.END_OBJECT) {
                    String name = in.currentName();
                    if (in.nextToken() == JsonToken.VALUE_NULL) {
                        continue;
                    }
                    switch (name) {
                        case "partitionKey" -> partitionKey = in.getText();
                        case "explicitHashKey" -> explicitHashKey = in.getText();
                        case "data" -> data = in.getBinaryValue();
                        default -> in.skipChildren();
                    }
                }
                results.add(kpl.addUserRecord(stream, partitionKey, explicitHashKey, ByteBuffer.wrap(data)));
            }
        }
        return results;
    }

    private static void print(List<ListenableFuture<UserRecordResult>> results)
            throws IOException, InterruptedException {
        try (JsonGenerator out = new JsonFactory()
                .createGenerator(new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 16))) {
            out.setRootValueSeparator(new com.fasterxml.jackson.core.io.SerializedString("\n"));
            for (ListenableFuture<UserRecordResult> f : results) {
                UserRecordResult r = null;
                String error = null;
                try {
                    r = f.get();
                } catch (ExecutionException e) {
                    error = String.valueOf(e.getCause());
                    if (e.getCause() instanceof UserRecordFailedException failed) {
                        r = failed.getResult();
                    }
                }
                out.writeStartObject();
                if (r != null) {
                    if (r.getShardId() != null) {
                        out.writeStringField("shard", r.getShardId());
                    }
                    if (r.getSequenceNumber() != null) {
                        out.writeStringField("sequenceNumber", r.getSequenceNumber());
                    }
                    out.writeArrayFieldStart("errors"); // of its attempts
                    for (Attempt a : r.getAttempts()) {
                        if (!a.isSuccessful()) {
                            out.writeString(a.getErrorCode() + ": " + a.getErrorMessage());
                        }
                    }
                    out.writeEndArray();
                }
                if (error != null) {
                    out.writeStringField("error", error);
                }
                out.writeEndObject();
            }
        }
    }
}
