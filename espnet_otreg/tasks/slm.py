"""The ESPnet2 task: from YAML to objects, and nothing else."""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np
import torch
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.tasks.abs_task import AbsTask, IteratorOptions, optim_classes
from espnet2.train.collate_fn import CommonCollateFn
from espnet2.train.dataset import DATA_TYPES
from espnet2.train.distributed_utils import get_world_size
from espnet2.train.iterable_dataset import DATA_TYPES as STREAMED_TYPES
from espnet2.train.trainer import Trainer
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str2bool, str_or_none
from torch.multiprocessing import ProcessExitedException

from espnet_otreg.data.ark import FeatureTable, read_description
from espnet_otreg.errors import UserError, run_main
from espnet_otreg.files import parse_yaml, read_json
from espnet_otreg.objectives import ObjectiveConfig, SupervisedConfig, parse_objective
from espnet_otreg.objectives.base import LANGUAGE, SPEECH
from espnet_otreg.objectives.registry import DEFAULT
from espnet_otreg.objectives.training import build_training_model
from espnet_otreg.regularizers import parse_regularizers
from espnet_otreg.slm.checkpoint import load_checkpoint, naming_checkpoint
from espnet_otreg.slm.config import SECTIONS
from espnet_otreg.slm.encoders.registry import DEFAULT_ENCODER, encoder_class
from espnet_otreg.slm.initial import check_initial
from espnet_otreg.slm.model import SpokenLanguageModel
from espnet_otreg.slm.waveform import SoundTable, sound_reader
from espnet_otreg.tasks.batches import redraw_batches
from espnet_otreg.tasks.deepspeed import check_deepspeed
from espnet_otreg.tasks.failures import failures_in_one_sentence
from espnet_otreg.tasks.interruption import passed_on
from espnet_otreg.tasks.languages import print_languages, record_languages
from espnet_otreg.tasks.learning_rates import parameter_groups, scale_rates
from espnet_otreg.tasks.own_options import PRECISIONS
from espnet_otreg.tasks.preprocessor import SLMPreprocessor
from espnet_otreg.tasks.same_config import content_of_inputs
from espnet_otreg.tasks.summary import describe
from espnet_otreg.tasks.trainer import SLMTrainer, TrainingRun, trainer_of
from espnet_otreg.tasks.training_dir import (
    FINISHED,
    Start,
    config_held_back,
    plan_start,
    require_no_training,
)
from espnet_otreg.tasks.trial import errors_of_batches, try_optimiser

# ESPnet's own readers run commands, unpickle what an archive holds, and believe that any recording
# is mono and at the model's rate.
DATA_TYPES["kaldi_ark"] = {**DATA_TYPES["kaldi_ark"], "func": FeatureTable, "kwargs": []}

_CLASSES = ("encoder", "frontend", "specaug", "normalize", "projector")


def features_of(args: argparse.Namespace) -> dict[str, Any]:
    """Size and frame length of precomputed features, from ``feats.json`` beside ``feats.scp``.

    Raises:
        UserError: if there is no such file.
    """
    for path, name, _ in args.train_data_path_and_name_and_type:
        if name == "speech":
            description = Path(path).parent / "feats.json"
            if not description.is_file():
                raise UserError("missing", str(description), "extract features with stage 4")
            facts = read_description(description)
            return {"input_size": facts["dim"], "frame_seconds": facts["frame_seconds"]}
    raise UserError(
        "no data named 'speech'",
        "--train_data_path_and_name_and_type",
        "add dump/features/train/feats.scp,speech,kaldi_ark",
    )


def _refuse(message: str) -> NoReturn:
    raise UserError(message, "command line", "--help_all shows all options")


def _note_features(args: argparse.Namespace) -> None:
    names = encoder_class(vars(args)).recorded
    if any(name not in args.encoder_conf for name in names):
        args.encoder_conf = {**args.encoder_conf, **features_of(args)}


def read_sound_with(reader: Callable[[str], SoundTable]) -> None:
    """Let ESPnet read tables of recordings, ``path,speech,sound``, with a reader of ours.

    Its pass over the data that collects their lengths has a second set of readers, and takes those
    of training where it has none.
    """
    for kind in ("sound", "kaldi_ark"):
        STREAMED_TYPES.pop(kind, None)
    DATA_TYPES["sound"] = {**DATA_TYPES["sound"], "func": reader, "kwargs": []}


class SLMTask(AbsTask):
    """Training of a spoken language model: speech encoder -> projector -> causal LLM.

    ESPnet calls methods of the class, never of an object: every training makes a subclass of its
    own for what belongs to it, and nothing is ever written to this one.
    """

    num_optimizers = 1
    trainer: ClassVar[type[Trainer]] = SLMTrainer
    objective: ClassVar[ObjectiveConfig] = SupervisedConfig()

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """The options of this task, beside ESPnet's own; ``--resume`` is true if not given."""
        parser.set_defaults(resume=True)
        parser.error = _refuse  # type: ignore[method-assign]
        group = parser.add_argument_group("Spoken language model")
        defaults = {"encoder": DEFAULT_ENCODER, "projector": "stack_transformer"}
        for name in _CLASSES:
            group.add_argument(f"--{name}", type=str_or_none, default=defaults.get(name))
            group.add_argument(f"--{name}_conf", action=NestedDictAction, default={})
        for name in SECTIONS:
            default = {"extract_feats_in_collect_stats": False} if name == "model_conf" else {}
            group.add_argument(f"--{name}", action=NestedDictAction, default=default)
        group.add_argument(
            "--regularizers",
            type=lambda text: parse_yaml(text, "--regularizers"),
            default=[],
            help="list of {name: {key: value}}",
        )
        group.add_argument(
            "--objective",
            type=lambda text: parse_yaml(text, "--objective"),
            default=DEFAULT,
            help="what is minimised, name or {name: {key: value}}",
        )
        group.add_argument(
            "--train", nargs="*", default=[], help="regular expressions of parameters to train"
        )
        group.add_argument(
            "--freeze", nargs="*", default=[], help="regular expressions of parameters to freeze"
        )
        group.add_argument(
            "--lr_scale",
            type=lambda text: parse_yaml(text, "--lr_scale"),
            default={},
            help="regular expressions of parameters, and the share of the learning rate they get",
        )
        group.add_argument(
            "--precision",
            choices=PRECISIONS,
            default="float32",
            help="of the networks, not of losses; auto: what is faster here, by a measurement",
        )
        group.add_argument(
            "--batch_jitter",
            type=float,
            default=0.0,
            help="so much, at most, lengths are changed to draw neighbours anew in every pass",
        )
        group.add_argument(
            "--overwrite",
            type=str2bool,
            default=False,
            help="remove the training that the output directory holds, and train anew",
        )
        group.add_argument(
            "--sanity",
            type=str2bool,
            default=False,
            help="before training, check that ten utterances can be learnt by heart",
        )

    @classmethod
    def main(cls, args: argparse.Namespace | None = None, cmd: Sequence[str] | None = None) -> None:
        """The whole command; of several processes on one machine the first failure is its own."""
        with passed_on():
            try:
                super().main(args, cmd)
            except ProcessExitedException as error:
                sys.exit(max(error.exit_code, 1))  # the process has said why

    @classmethod
    def main_worker(cls, args: argparse.Namespace) -> None:
        """Train; what does not fit the model is named after the checkpoint it comes from.

        Raises:
            UserError: if a GPU is asked for and there is none, or DeepSpeed and it is missing, or a
                checkpoint is damaged.
            ConfigErrors: if DeepSpeed cannot do what the configuration asks for.
            Stopped: if a signal asked for it.
        """
        if multiprocessing.parent_process() is not None:
            run_main(lambda: cls._work(args))
        cls._work(args)

    @classmethod
    def _work(cls, args: argparse.Namespace) -> None:
        if args.ngpu > 0 and not torch.cuda.is_available():
            raise UserError("no GPU can be used here", f"--ngpu {args.ngpu}", "give --ngpu 0")
        task = cls._of_run(args)
        if args.use_deepspeed and args.distributed:
            check_deepspeed(parse_regularizers(args.regularizers))
            task.trainer = Trainer  # the only one that ESPnet exchanges for its DeepSpeed trainer
            record_languages(args, Path(args.output_dir), args.resume)
        read_sound_with(sound_reader(vars(args)))
        for value in args.init_param:  # ESPnet looks at no checksum
            load_checkpoint(value.partition(":")[0])
        directory = Path(args.output_dir)
        named = naming_checkpoint(" ".join(args.init_param))
        with named, failures_in_one_sentence(directory), contextlib.ExitStack() as stack:
            if args.collect_stats:
                require_no_training(directory, "--collect_stats")
            elif issubclass(task.trainer, SLMTrainer):
                try_optimiser(args)
                start = task._plan(args)
                if start is None:
                    epochs = read_json(directory / FINISHED)["epochs"]
                    print(f"{directory}: finished: {epochs} epochs; nothing to do", flush=True)
                    return
                task.trainer = trainer_of(TrainingRun(start, args.sanity, args.precision))
                stack.enter_context(config_held_back(args))
            super(SLMTask, task).main_worker(args)

    @classmethod
    def _of_run(cls, args: argparse.Namespace) -> type[SLMTask]:
        """A subclass that a training may write to, with the objective of its options."""
        objective = parse_objective(args.objective)
        assert objective is not None
        return type(cls.__name__, (cls,), {"objective": objective.config})

    @classmethod
    def _plan(cls, args: argparse.Namespace) -> Start | None:
        _note_features(args)
        several = args.distributed
        world_size = get_world_size(args.dist_world_size, args.dist_launcher) if several else 1
        args.dist_world_size = world_size if several else None
        defaults = vars(cls.get_parser().parse_args([]))
        return plan_start(vars(args), defaults, content_of_inputs(vars(args)), world_size)

    @classmethod
    def build_iter_factory(cls, *args: Any, **kwargs: Any) -> AbsIterFactory:
        """ESPnet's batches.

        Raises:
            UserError: if it cannot make them of the options and lengths.
        """
        with errors_of_batches():
            return super().build_iter_factory(*args, **kwargs)

    @classmethod
    def build_sequence_iter_factory(
        cls, args: argparse.Namespace, iter_options: IteratorOptions, mode: str
    ) -> AbsIterFactory:
        """ESPnet's batches, those of training with other neighbours in every pass, if asked for."""
        factory = super().build_sequence_iter_factory(args, iter_options, mode)
        if iter_options.train and args.batch_jitter:
            redraw_batches(factory, iter_options.shape_files[0], args.batch_jitter)
        return factory

    @classmethod
    def build_collate_fn(
        cls, args: argparse.Namespace, train: bool
    ) -> Callable[
        [Collection[tuple[str, dict[str, np.ndarray]]]],
        tuple[list[str], dict[str, torch.Tensor]],
    ]:
        """Zero padding for speech, -1 for ids."""
        return CommonCollateFn(float_pad_value=0.0, int_pad_value=-1)

    @classmethod
    def build_preprocess_fn(
        cls, args: argparse.Namespace, train: bool
    ) -> Callable[[str, dict[str, np.ndarray]], dict[str, np.ndarray]]:
        """Tokenisation with the LLM's own tokenizer."""
        return SLMPreprocessor(train, args.llm_conf["model"], cls.objective.transcripts)

    @classmethod
    def required_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        """Speech, and what the objective needs in training."""
        return (SPEECH,) if inference else cls.objective.data_names

    @classmethod
    def optional_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        """The language of each utterance."""
        return (LANGUAGE,)

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> SpokenLanguageModel:
        """The model that the arguments describe.

        The size of precomputed features is noted in ``args``, hence in the ``config.yaml`` that
        ESPnet saves, so that inference needs no training data.
        """
        _note_features(args)
        model = build_training_model(vars(args))
        for value in args.init_param:
            check_initial(value, model, args.ignore_init_mismatch)
        print(describe(model), flush=True)
        print_languages(args, model.config.prompt_conf)
        return model

    @classmethod
    def build_optimizers(
        cls, args: argparse.Namespace, model: torch.nn.Module
    ) -> list[torch.optim.Optimizer]:
        """One optimiser over the trainable parameters only: frozen weights need no state.

        Raises:
            UserError: if nothing is trainable, or an expression of ``lr_scale`` means nothing.
        """
        groups = parameter_groups(model, args.lr_scale or {})
        return [scale_rates(optim_classes[args.optim](groups, **args.optim_conf))]
