"""Run directories as the program leaves them, for report_browser_test: of images, and the paper's of language models."""
import json
import math


def make_run(folder, method, members, width, wait, replay, seed, batches, experts=1):
    """A run directory as the program leaves it, with errors by a formula. A mixture has one expert more after each update."""
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(
        f'seed = {seed}\n[stream]\ndataset = "mnist"\nmega_batches = {batches}\n[learner]\nmethod = "{method}"\nmembers = {members}\n'
        f"wait = {wait}\nreplay = {str(replay).lower()}\n[model]\nwidth = {width}\nexperts = {experts}\n")
    cer, mem, macs, lines, error = 0, 0, 0, [], 0.9
    params = 2 * width * width * members + 1584 * width
    for t in range(1, batches + 1):
        if t % wait == 0:
            error = 0.9 / (1 + t / wait) ** 0.5 / width ** 0.2 / members ** 0.1 * (1 + 0.02 * seed) * (0.8 if replay else 1)
            macs += params * 1000 * wait * (t / wait if replay else 1)
        more = {"experts": experts + max(0, t // wait - 1)} if method == "gmoe" else {}
        if t % wait == 0 and t > wait and more:
            params += 1584 * width
        cer, mem = cer + error, mem + params
        lines.append(json.dumps({**more, "t": t, "updated": t % wait == 0, "error": error, "loss": None, "params": params,
                                 "inference_macs": params, "train_macs": int(macs), "train_flops": int(6 * macs), "epochs": 1,
                                 "val_accuracy": None, "seconds": t * 0.1}))
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "result.json").write_text(json.dumps({"cer": cer, "seconds": batches * 0.1, "device": "cpu", "level": "generic",
                                                    "version": "test"}))


# The paper's Fig. 5 and Table 2, base and large: method, experts, members; perplexities and millions of parameters after the
# four mega-batches. Experts of a layer are recorded where they grow.
FIG5 = {512: [("sm", 4, 1, [28.57, 27.45, 26.91, 26.53], [65] * 4), ("sm", 8, 1, [26.29, 25.29, 24.74, 24.40], [91] * 4),
              ("sm", 12, 1, [25.63, 24.70, 24.17, 23.78], [116] * 4), ("ens", 4, 2, [26.20, 25.12, 24.57, 24.35], [130] * 4),
              ("ens", 4, 4, [25.03, 24.03, 23.45, 23.29], [260] * 4), ("gens", 4, 1, [28.57, 26.27, 25.41, 25.01], [65, 130, 195, 260]),
              ("gmoe", 4, 1, [28.57, 26.46, 25.66, 25.28], [65, 78, 91, 116])],
        768: [("sm", 4, 1, [22.47, 21.62, 20.84, 20.54], [210] * 4), ("sm", 8, 1, [21.52, 20.38, 19.64, 19.22], [323] * 4),
              ("sm", 12, 1, [21.63, 20.26, 19.44, 18.98], [436] * 4), ("ens", 4, 2, [20.32, 19.55, 19.14, 18.92], [420] * 4),
              ("ens", 4, 4, [19.27, 18.52, 18.22, 18.07], [840] * 4), ("gens", 4, 1, [22.47, 20.25, 19.49, 19.18], [210, 420, 630, 840]),
              ("gmoe", 4, 1, [22.47, 21.22, 20.39, 20.15], [210, 266, 323, 436])]}
GUESS = 51200  # the perplexity of guessing among so many tokens: of a learner that has waited and not learned yet
TABLE1 = {(512, 3): [GUESS, GUESS, 24.30, 24.2], (512, 4): [GUESS] * 3 + [24.13], (768, 3): [GUESS, GUESS, 18.04, 18.0],
          (768, 4): [GUESS] * 3 + [17.88]}


BYTES_PER_TOKEN = 4


def make_language_run(folder, method, experts, members, width, wait, seed, ppl, params):
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(
        f'seed = {seed}\n[stream]\ndataset = "text"\nmega_batches = {len(ppl)}\n[learner]\nmethod = "{method}"\nmembers = {members}\n'
        f'wait = {wait}\n[model]\narchitecture = "switch"\nwidth = {width}\nexperts = {experts}\n')
    lines = []
    for t, (value, millions) in enumerate(zip(ppl, params), 1):
        flops = (3.41e18 if width == 512 else 9.46e18) * t * (members if method == "ens" else 1)
        record = {"t": t, "updated": t % wait == 0 or t == len(ppl), "ppl": value, "loss": None, "params": millions * 10**6,
                  "inference_macs": 10**9, "train_macs": flops / 6, "train_flops": flops, "epochs": 1, "val_accuracy": None, "seconds": t * 3600}
        record["bits_per_byte"] = math.log2(value) / BYTES_PER_TOKEN
        if method == "gmoe":
            record["experts"] = [4, 6, 8, 12][t - 1]
        lines.append(json.dumps(record))
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "result.json").write_text(json.dumps({"ppl": ppl, "mean_ppl": sum(ppl) / len(ppl),
                                                    "bits_per_byte": sum(map(math.log2, ppl)) / BYTES_PER_TOKEN / len(ppl), "seconds": len(ppl) * 3600,
                                                    "device": "cuda", "level": "sm_90", "version": "test"}))


def make_language_runs(folder, widths=(512, 768), seeds=1, waiting=True):
    """As the paper has them; more seeds are a little better or worse."""
    for width in widths:
        for i, (method, experts, members, ppl, params) in enumerate(FIG5[width]):
            for seed in range(seeds):
                worse = [round(value * (1 + 0.003 * (seed - (seeds - 1) / 2)), 4) for value in ppl]
                make_language_run(folder / f"{width}-{i}-{seed}", method, experts, members, width, 1, seed, worse, params)
        for k in (3, 4) if waiting else ():
            make_language_run(folder / f"{width}-wait{k}", "ens", 4, 2, width, k, 0, TABLE1[width, k], [130 if width == 512 else 420] * 4)


METHODS = [("sm", 1), ("ens", 4), ("umix", 4), ("gens", 1), ("ens", 2), ("umix", 2)]
WIDTHS, WAITS = [4, 16, 64, 128, 8, 32, 256], [1, 10, 50, 100, 5, 500, 25, 2]


def make_runs(folder, count, seeds, batches, methods, widths, waits, replays):
    made = 0
    for replay in replays:
        for method, members in METHODS[:methods]:
            for width in WIDTHS[:widths]:
                for wait in WAITS[:waits]:
                    for seed in range(seeds):
                        if made < count:
                            make_run(folder / f"run{made}", method, members, width, wait, replay, seed, batches)
                            made += 1
    assert made == count, made
