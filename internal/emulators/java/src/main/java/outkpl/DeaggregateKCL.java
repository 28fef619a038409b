// SPDX-License-Identifier: Apache-2.0

package outkpl;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import software.amazon.kinesis.retrieval.AggregatorUtil;
import software.amazon.kinesis.retrieval.KinesisClientRecord;

/**
 * Takes Kinesis records apart with the class that the KCL uses for it. One JSON object comes in a line: one with
 * "shard" begins a shard, any other is a record of it. One JSON object goes out a line: a user record, or, if the class
 * throws, "thrown".
 *
 * <p>As the KCL does, it returns what one GetRecords call returns at most.
 */
public final class DeaggregateKCL {
    private static final int PAGE_RECORDS = 10_000;
    private static final int PAGE_BYTES = 10 << 20;

    private final AggregatorUtil util = new AggregatorUtil();
    private final JsonGenerator out;

    private String shard;
    private BigInteger start; // null if no range is known
    private BigInteger end;
    private List<KinesisClientRecord> page = new ArrayList<>();
    private int pageBytes;

    private DeaggregateKCL(JsonGenerator out) {
        this.out = out;
    }

    public static void main(String[] args) throws IOException {
        JsonFactory json = new JsonFactory();
        try (JsonParser in = json.createParser(System.in);
                JsonGenerator out = json.createGenerator(
                        new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 16))) {
            out.setRootValueSeparator(new com.fasterxml.jackson.core.io.SerializedString("\n"));
            DeaggregateKCL d = new DeaggregateKCL(out);
            while (in.nextToken() == JsonToken.START_OBJECT) {
                d.read(in);
            }
            d.flush();
        }
    }

    private void read(JsonParser in) throws IOException {
        String newShard = null;
        BigInteger newStart = null;
        BigInteger newEnd = null;
        byte[] data = new byte[0];
        KinesisClientRecord.KinesisClientRecordBuilder record = KinesisClientRecord.builder();
        while (in.nextToken() != JsonToken.END_OBJECT) {
            String name = in.currentName();
            if (in.nextToken() == JsonToken.VALUE_NULL) {
                continue;
            }
            switch (name) {
                case "shard" -> newShard = in.getText();
                case "startingHashKey" -> newStart = new BigInteger(in.getText());
                case "endingHashKey" -> newEnd = new BigInteger(in.getText());
                case "partitionKey" -> record.partitionKey(in.getText());
                case "sequenceNumber" -> record.sequenceNumber(in.getText());
                case "data" -> data = in.getBinaryValue();
                default -> in.skipChildren(); // an explicit hash key: GetRecords does not return it
            }
        }
        if (newShard != null) {
            flush();
            shard = newShard;
            start = newStart;
            end = newEnd;
            return;
        }
        if (page.size() == PAGE_RECORDS || !page.isEmpty() && pageBytes + data.length > PAGE_BYTES) {
            flush();
        }
        page.add(record.data(ByteBuffer.wrap(data)).build());
        pageBytes += data.length;
    }

    private void flush() throws IOException {
        if (page.isEmpty()) {
            return;
        }
        List<KinesisClientRecord> users;
        try {
            users = start == null ? util.deaggregate(page) : util.deaggregate(page, start, end);
        } catch (Throwable t) { // an Error is one of the answers of interest
            out.writeStartObject();
            out.writeStringField("shard", shard);
            out.writeStringField("sequenceNumber", page.get(0).sequenceNumber());
            out.writeStringField("thrown", t.toString());
            out.writeEndObject();
            users = List.of();
        }
        for (KinesisClientRecord u : users) {
            out.writeStartObject();
            out.writeStringField("shard", shard);
            out.writeStringField("partitionKey", u.partitionKey());
            if (u.explicitHashKey() != null) {
                out.writeStringField("explicitHashKey", u.explicitHashKey());
            }
            out.writeStringField("sequenceNumber", u.sequenceNumber());
            out.writeNumberField("subSequenceNumber", u.subSequenceNumber());
            out.writeBooleanField("aggregated", u.aggregated());
            ByteBuffer b = u.data();
            byte[] data = new byte[b.remaining()];
            b.duplicate().get(data);
            out.writeBinaryField("data", data);
            out.writeEndObject();
        }
        page = new ArrayList<>();
        pageBytes = 0;
    }
}
