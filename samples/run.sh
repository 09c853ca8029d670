#!/bin/sh
# Fits a masked autoregressive flow with batch normalisation to a real data set and shows what it can do:
# sh samples/run.sh. What is done already is not done again.
. "$(dirname "$0")/../cmake/setup.sh"

cmake --build "$build" -j "$jobs" --target pushforward_tool
tool=$build/tools/pushforward
out=$root/out
mkdir -p "$out"

# Fold 0 is held out; the others train, and a tenth of them chooses the best epoch.
[ -s "$out/test.csv" ] || {
  awk -F, 'NR == 1 || $1 != 0' "$root/samples/data/htru2.csv" >"$out/train.csv"
  awk -F, 'NR == 1 || $1 == 0' "$root/samples/data/htru2.csv" >"$out/test.csv.part"
  mv "$out/test.csv.part" "$out/test.csv"
}
[ -s "$out/gaussian.safetensors" ] ||
  "$tool" fit "$out/train.csv" --drop fold --model gaussian --out "$out/gaussian.safetensors"
[ -s "$out/maf.safetensors" ] ||
  "$tool" fit "$out/train.csv" --drop fold --model maf --layers 5 --hidden 64,64 --batch-norm --epochs 60 --batch 256 \
    --lr 0.001 --schedule cosine --seed 1 --threads "$jobs" --out "$out/maf.safetensors"

echo
echo "held-out rows (fold 0), full-covariance Gaussian:"
"$tool" log-prob "$out/gaussian.safetensors" "$out/test.csv" --out "$out/gaussian-logp.csv"
echo "held-out rows (fold 0), masked autoregressive flow with batch normalisation:"
"$tool" log-prob "$out/maf.safetensors" "$out/test.csv" --out "$out/maf-logp.csv"
[ -s "$out/samples.csv" ] || "$tool" sample "$out/maf.safetensors" -n 10000 --seed 1 --out "$out/samples.csv"
[ -s "$out/corner.png" ] || "$tool" plot "$out/maf.safetensors" "$out/test.csv" --out "$out/corner.png"

echo
echo "model    $out/maf.safetensors"
echo "scores   $out/maf-logp.csv"
echo "samples  $out/samples.csv"
echo "picture  $out/corner.png"
