package prepx;

import exchange.core2.core.ExchangeApi;
import exchange.core2.core.ExchangeCore;
import exchange.core2.core.common.CoreSymbolSpecification;
import exchange.core2.core.common.CoreWaitStrategy;
import exchange.core2.core.common.MatcherEventType;
import exchange.core2.core.common.MatcherTradeEvent;
import exchange.core2.core.common.OrderAction;
import exchange.core2.core.common.OrderType;
import exchange.core2.core.common.SymbolType;
import exchange.core2.core.common.api.ApiAddUser;
import exchange.core2.core.common.api.ApiAdjustUserBalance;
import exchange.core2.core.common.api.ApiCancelOrder;
import exchange.core2.core.common.api.ApiCommand;
import exchange.core2.core.common.api.ApiMoveOrder;
import exchange.core2.core.common.api.ApiPlaceOrder;
import exchange.core2.core.common.api.ApiReset;
import exchange.core2.core.common.api.binary.BatchAddSymbolsCommand;
import exchange.core2.core.common.cmd.CommandResultCode;
import exchange.core2.core.common.cmd.OrderCommand;
import exchange.core2.core.common.cmd.OrderCommandType;
import exchange.core2.core.common.config.ExchangeConfiguration;
import exchange.core2.core.common.config.InitialStateConfiguration;
import exchange.core2.core.common.config.LoggingConfiguration;
import exchange.core2.core.common.config.OrdersProcessingConfiguration;
import exchange.core2.core.common.config.PerformanceConfiguration;
import exchange.core2.core.common.config.ReportsQueriesConfiguration;
import exchange.core2.core.common.config.SerializationConfiguration;
import exchange.core2.core.orderbook.OrderBookDirectImpl;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;

/**
 * Feeds the benchmark's stream to exchange-core: its matching and risk engines, one of each, without
 * a journal. Prints one line: name, operations a second, CPU nanoseconds an operation over all
 * threads, three dashes for the quantiles, trades, volume.
 *
 * <p>Usage: Harness FILE WAIT_STRATEGY ROUNDS. All rounds but the last warm the JVM up; each begins
 * with a reset exchange and a filled book.
 */
public final class Harness {
    private static final int RECORD_BYTES = 48;
    private static final int HEAD_BYTES = 32;
    private static final int SYMBOL = 1;
    private static final int BASE = 1;
    private static final int QUOTE = 2;
    private static final int USERS = 2_000;
    private static final long PLENTY = 1L << 58;

    private final ExchangeApi api;
    private final ApiCommand[] fill;
    private final ApiCommand[] run;
    /** What is measured: the same operations as the other peers' last nine tenths. */
    private final int warm;

    private volatile CountDownLatch done = new CountDownLatch(1);
    private long left;
    private long trades;
    private long volume;
    private long failures;

    public static void main(String[] args) throws Exception {
        new Harness(Path.of(args[0]), CoreWaitStrategy.valueOf(args[1]), Integer.parseInt(args[2]));
    }

    private Harness(Path file, CoreWaitStrategy wait, int rounds) throws Exception {
        try (FileChannel channel = FileChannel.open(file)) {
            MappedByteBuffer bytes = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size());
            bytes.order(ByteOrder.LITTLE_ENDIAN);
            fill = new ApiCommand[(int) bytes.getLong(0)];
            run = new ApiCommand[(int) bytes.getLong(8)];
            long maxPrice = bytes.getLong(24);
            for (int at = 0; at < fill.length + run.length; at++) {
                ApiCommand command = command(bytes, HEAD_BYTES + at * RECORD_BYTES, maxPrice);
                if (at < fill.length) {
                    fill[at] = command;
                } else {
                    run[at - fill.length] = command;
                }
            }
        }
        warm = run.length / 10;
        ExchangeCore core = start(wait);
        api = core.getApi();
        for (int round = 1; round <= rounds; round++) {
            round(round == rounds);
        }
        core.shutdown();
        System.exit(0);
    }

    private ExchangeCore start(CoreWaitStrategy wait) {
        PerformanceConfiguration performance = PerformanceConfiguration.throughputPerformanceBuilder()
                .matchingEnginesNum(1)
                .riskEnginesNum(1)
                .waitStrategy(wait)
                .threadFactory(Thread::new)
                .orderBookFactory(OrderBookDirectImpl::new)
                .build();
        ExchangeCore core = ExchangeCore.builder()
                .resultsConsumer((command, sequence) -> result(command))
                .exchangeConfiguration(ExchangeConfiguration.defaultBuilder()
                        .ordersProcessingCfg(OrdersProcessingConfiguration.DEFAULT)
                        .performanceCfg(performance)
                        .initStateCfg(InitialStateConfiguration.CLEAN_TEST)
                        .reportsQueriesCfg(ReportsQueriesConfiguration.DEFAULT)
                        .loggingCfg(LoggingConfiguration.DEFAULT)
                        .serializationCfg(SerializationConfiguration.DEFAULT)
                        .build())
                .build();
        core.startup();
        return core;
    }

    private static ApiCommand command(ByteBuffer bytes, int at, long maxPrice) {
        int kind = bytes.get(at);
        boolean buys = bytes.get(at + 1) == 0;
        long user = 1 + bytes.getInt(at + 4);
        long order = 1 + bytes.getLong(at + 8);
        long price = bytes.getLong(at + 16);
        long size = bytes.getLong(at + 24);
        switch (kind) {
            case 0:
            case 1:
                return ApiPlaceOrder.builder()
                        .symbol(SYMBOL)
                        .uid(user)
                        .orderId(order)
                        .action(buys ? OrderAction.BID : OrderAction.ASK)
                        .orderType(kind == 0 ? OrderType.GTC : OrderType.IOC)
                        .price(price)
                        .reservePrice(buys ? Math.max(price, maxPrice) : 0)
                        .size(size)
                        .build();
            case 2:
                return ApiCancelOrder.builder().symbol(SYMBOL).uid(user).orderId(order).build();
            default:
                return ApiMoveOrder.builder()
                        .symbol(SYMBOL)
                        .uid(user)
                        .orderId(order)
                        .newPrice(price)
                        .build();
        }
    }

    private void result(OrderCommand command) {
        if (command.resultCode != CommandResultCode.SUCCESS
                && command.resultCode != CommandResultCode.ACCEPTED
                && command.command != OrderCommandType.SHUTDOWN_SIGNAL) {
            failures++;
            if (failures < 4) {
                System.err.println(command.resultCode + " for " + command);
            }
        }
        for (MatcherTradeEvent event = command.matcherEvent; event != null; event = event.nextEvent) {
            if (event.eventType == MatcherEventType.TRADE) {
                trades++;
                volume += event.size;
            }
        }
        if (--left == 0) {
            done.countDown();
        }
    }

    private void await(int count, Runnable submit) throws InterruptedException {
        left = count;
        trades = 0;
        volume = 0;
        done = new CountDownLatch(1);
        submit.run();
        done.await();
    }

    private void submit(ApiCommand[] commands, int from, int to) throws InterruptedException {
        await(to - from, () -> {
            for (int at = from; at < to; at++) {
                commands[at].timestamp = at;
                api.submitCommand(commands[at]);
            }
        });
    }

    private void round(boolean last) throws Exception {
        prepare();
        submit(fill, 0, fill.length);
        submit(run, 0, warm);
        System.gc();
        long cpu = cpuNanos();
        long start = System.nanoTime();
        submit(run, warm, run.length);
        long nanos = System.nanoTime() - start;
        cpu = cpuNanos() - cpu;
        long count = run.length - warm;
        if (last) {
            System.out.printf("exchange-core\t%.0f\t%.1f\t-\t-\t-\t%d\t%d%n",
                    count * 1e9 / nanos, (double) cpu / count, trades, volume);
        }
        if (failures > 0) {
            throw new IllegalStateException(failures + " commands failed");
        }
    }

    private void prepare() throws Exception {
        ApiCommand reset = ApiReset.builder().build();
        submit(new ApiCommand[] {reset}, 0, 1);
        CoreSymbolSpecification symbol = CoreSymbolSpecification.builder()
                .symbolId(SYMBOL)
                .type(SymbolType.CURRENCY_EXCHANGE_PAIR)
                .baseCurrency(BASE)
                .quoteCurrency(QUOTE)
                .baseScaleK(1)
                .quoteScaleK(1)
                .makerFee(0)
                .takerFee(0)
                .build();
        left = Long.MAX_VALUE;
        api.submitBinaryDataAsync(new BatchAddSymbolsCommand(symbol)).get();
        ApiCommand[] users = new ApiCommand[USERS * 3];
        for (int user = 0; user < USERS; user++) {
            users[user * 3] = ApiAddUser.builder().uid(user + 1).build();
            users[user * 3 + 1] = balance(user + 1, BASE);
            users[user * 3 + 2] = balance(user + 1, QUOTE);
        }
        submit(users, 0, users.length);
    }

    private static ApiCommand balance(long user, int currency) {
        return ApiAdjustUserBalance.builder()
                .uid(user)
                .currency(currency)
                .amount(PLENTY / USERS)
                .transactionId(currency)
                .build();
    }

    /** What all threads of the process have run so far. */
    private static long cpuNanos() {
        Object system = java.lang.management.ManagementFactory.getOperatingSystemMXBean();
        return ((com.sun.management.OperatingSystemMXBean) system).getProcessCpuTime();
    }
}
