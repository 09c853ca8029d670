#!/bin/sh
# Fits by several processes: sh tests/mpi/run.sh path/to/fit_together mpirun [option of mpirun ...]
. "$(dirname "$0")/checks.sh"

# ---- the same bits for any number of ranks and threads, at a given number of shards
for shards in 8 6 1; do
  on 1 $shards 1 alone
  cp out.txt alone
  holds '[ $status -eq 0 ] && [ "$(wc -l <alone)" -eq 2 ]'
  for ranks in 1 2 3 4 6 8; do
    # Shards are ranks times a power of two.
    per=$((shards / ranks))
    [ $((per * ranks)) -eq $shards ] && [ $((per & (per - 1))) -eq 0 ] || continue
    for threads in 1 2; do
      on $ranks $shards $threads
      holds '[ $status -eq 0 ] && cmp -s out.txt alone'
    done
  done
done
on 2 3 1
holds '[ $status -ne 0 ] && grep -q "shards" err.txt'

# ---- messages and bytes are those of the theory
for ranks in 2 3 4 6 8; do
  on $ranks 1 1 count
  holds '[ $status -eq 0 ]'
done

# ---- a rank that throws, or stops: the job ends, and says which one it was
on 4 8 1 throws 2
holds '[ $status -ne 0 ] && [ $status -ne 124 ] && grep -q "rank 2 of 4: its disk is gone" err.txt'
on 4 8 1 stuck 3
holds '[ $status -ne 0 ] && [ $status -ne 124 ] && grep -q "rank 3 of 4 has not answered" err.txt'

# ---- a rank that is killed at any moment: the checkpoint is whole, and another number of ranks goes on from it
on 4 8 1 checkpoint "$work/whole"
cp out.txt right
holds '[ $status -eq 0 ]'
for moment in ${PUSHFORWARD_MOMENTS:-0.4 0.9 1.3}; do
  rm -f "$work/checkpoint"
  timeout 300 $launch -n 4 "$tool" 8 1 slow "$work/checkpoint" >out.txt 2>err.txt &
  job=$!
  sleep "$moment"
  victim=$(victim fit_together "8 1 slow $work/checkpoint")
  [ -z "$victim" ] || kill -9 "$victim"
  wait $job
  status=$?
  holds '[ -n "$victim" ] && [ $status -ne 0 ]'
  on 2 8 2 checkpoint "$work/checkpoint"
  holds '[ $status -eq 0 ] && cmp -s out.txt right'
done
finish
