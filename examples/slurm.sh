#!/bin/bash
# Stage 1 at the paper's size on 4 nodes of 8 GPUs, taken up again after every pre-emption: sbatch examples/slurm.sh
# Two minutes before the time is over SLURM sends SIGTERM, the run saves `last.ckpt` and ends, the job is queued again
# and goes on from the newest sound checkpoint of its own runs: those below runs/job<number>, which it keeps when it is
# queued again. Stage 2 begins with `--model.init_from job<number>/stage1`. Not run on a cluster yet.
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append

name="job$SLURM_JOB_ID/stage1"
resume=()
for run in $(ls -dv "runs/$name"* 2>/dev/null); do # stage1, stage1-2, ..., the last one that has a checkpoint
    if ls -d "$run"/checkpoints/*.ckpt >/dev/null 2>&1; then
        resume=(--ckpt_path "$run")
    fi
done
srun python main.py fit --config stage1.yaml --config vicuna_7b.yaml --config coinit.yaml --config fsdp.yaml \
    --trainer.num_nodes 4 --save_every 500 --name "$name" "${resume[@]}"
status=$?
if [ "$status" -eq 143 ]; then # SIGTERM; after an error there is nothing to go on with
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
