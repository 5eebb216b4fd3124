"""Contracts, each with the text that breaks it and the tests that must then fail; see `mutate_contracts.py`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One contract broken: in ``file`` the text ``old`` becomes ``new``, and some of ``tests`` must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


_DAMAGE, _KILL, _ROUND = "tests/store/test_damage.py", "tests/store/test_kill.py", "tests/store/test_round_trip.py"
_HOSTILE, _DISK, _CLOCK = "tests/store/test_hostile.py", "tests/store/test_disk.py", "tests/recording/test_clock.py"
_VALIDATE, _RECORDING = "tests/recording/test_validate.py", "tests/recording/test_recording.py"

MUTATIONS = (
    Mutation(
        "no checksum on chunks", "neurodata/store/tree.py",
        "compressors=[compressor, Crc32cCodec()]", "compressors=[compressor]",
        (f"{_DAMAGE}::test_one_flipped_bit_anywhere_in_any_file_is_noticed",),
    ),
    Mutation(
        "the checksum of a chunk is not looked at", "neurodata/store/shards.py",
        "google_crc32c.value(content[:-CHECKSUM]) != stated", "False",
        (f"{_DAMAGE}::test_one_flipped_bit_anywhere_in_a_shard_spoils_its_chunk_only",),
    ),
    Mutation(
        "a shard that was rewritten is mixed with what it was", "neurodata/store/shards.py",
        "if self.files.stamp(key) != self._stamps[key]:", "if False:",
        ("tests/store/test_shards.py::test_a_file_rewritten_under_its_reader_is_noticed",),
    ),
    Mutation(
        "attributes are not compared with their digest", "neurodata/store/documents.py",
        'if digest != documents[""]["attributes"][MANIFEST].get(DOCUMENTS_DIGEST):', "if False:",
        (f"{_DAMAGE}::test_an_edited_attribute_is_noticed",),
    ),
    Mutation(
        "the consolidated copy is not compared", "neurodata/store/documents.py",
        "_plain(copies[path]) != _plain(documents[path])", "False",
        (f"{_DAMAGE}::test_an_edited_attribute_is_noticed",),
    ),
    Mutation(
        "values are not compared with their digest", "neurodata/store/verify.py",
        "if digest is not None and actual != digest:", "if False:",
        (f"{_DAMAGE}::test_swapped_columns_are_noticed_by_verify",),
    ),
    Mutation(
        "missing shards are not looked for", "neurodata/store/verify.py",
        "if missing:", "if False:",
        (f"{_DAMAGE}::test_a_deleted_shard_is_noticed",),
    ),
    Mutation(
        "files nobody wrote are not looked for", "neurodata/store/verify.py",
        "sorted(found - expected)", "[]",
        (f"{_DAMAGE}::test_files_nobody_wrote_are_noticed",),
    ),
    Mutation(
        "no lock", "neurodata/store/workplace.py",
        "fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass",
        (f"{_KILL}::test_a_lock_left_by_a_killed_process_does_not_block",),
    ),
    Mutation(
        "written in place, not moved there", "neurodata/store/write.py",
        "write_tree(recording, work / TREE / recording_id,", "write_tree(recording, store / recording_id,",
        (f"{_KILL}::test_a_writer_killed_again_and_again_still_ends_at_the_same_bytes",),
    ),
    Mutation(
        "what an interrupted overwrite moved away is lost", "neurodata/store/workplace.py",
        "if replaced.exists() and not target.exists():", "if False:",
        (f"{_KILL}::test_an_overwrite_killed_between_its_two_moves_keeps_what_was_there",),
    ),
    Mutation(
        "half-finished work is taken up whatever its sources", "neurodata/store/tree.py",
        "note.read_text() != wanted", "False",
        (f"{_KILL}::test_work_begun_from_other_sources_is_not_taken_up",),
    ),
    Mutation(
        "a torn shard counts as finished", "neurodata/store/tree.py",
        "return read_values(root, array.path, strict, slice(first, first + rows))",
        "return np.asarray(array[first : first + rows])",
        (f"{_KILL}::test_torn_leftovers_are_written_again",),
    ),
    Mutation(
        "nothing is resumed", "neurodata/store/tree.py",
        "resumed = folder.is_dir()", "resumed = False",
        (f"{_KILL}::test_a_killed_writer_leaves_nothing_half_and_is_resumed",),
    ),
    Mutation(
        "chunks of zeros are left out", "neurodata/store/tree.py",
        '"write_empty_chunks": True', '"write_empty_chunks": False',
        (f"{_ROUND}::test_every_kind_of_member_comes_back",),
    ),
    Mutation(
        "a failed conversion leaves its tree", "neurodata/store/write.py",
        "shutil.rmtree(work / TREE, ignore_errors=True)\n                raise", "raise",
        (f"{_DISK}::test_a_limit_on_file_sizes_ends_as_a_full_disk_does",),
    ),
    Mutation(
        "recordings are written unchecked", "neurodata/store/write.py",
        "    validate(recording)\n", "",
        (f"{_HOSTILE}::test_nothing_is_written_of_a_hostile_recording",),
    ),
    Mutation(
        "other sources are called up to date", "neurodata/store/write.py",
        "same = ours == theirs", "same = True",
        ("tests/store/test_store.py::test_converting_again_says_up_to_date_or_asks_to_overwrite",),
    ),
    Mutation(
        "a claimed shape is believed", "neurodata/store/documents.py",
        "if count_chunks(shape, stored) > _MOST_FILES or", "if",
        (f"{_HOSTILE}::test_a_forged_description_is_refused_without_a_big_allocation",),
    ),
    Mutation(
        "a newer format is read as ours", "neurodata/store/documents.py",
        "if type(number) is int and number > names.FORMAT_NUMBER:", "if False:",
        (f"{_HOSTILE}::test_another_format_is_refused_by_its_number",),
    ),
    Mutation(
        "the event index is off by one", "neurodata/store/event_index.py",
        "int(np.ceil(stop))), index.size - 1)]", "int(np.ceil(stop)) - 1), index.size - 1)]",
        (f"{_ROUND}::test_the_event_index_brackets_every_window",),
    ),
    Mutation(
        "a stretch of a regular signal is closed", "neurodata/recording/clock.py",
        "bisect.bisect_left(", "bisect.bisect_right(",
        (f"{_CLOCK}::test_stretches_are_half_open",),
    ),
    Mutation(
        "a stretch of an irregular signal is closed", "neurodata/recording/time_index.py",
        'searchsorted(stop, side="left")', 'searchsorted(stop, side="right")',
        (f"{_CLOCK}::test_stretches_are_half_open",),
    ),
    Mutation(
        "steps of a clock are added up from a rounded step", "neurodata/recording/clock.py",
        "(original - firsts[segment]) / self.rate_hz)", "(original - firsts[segment]) * np.float32(1 / self.rate_hz))",
        (f"{_CLOCK}::test_no_drift_over_a_hundred_million_samples",),
    ),
    Mutation(
        "validate stops at the first breach", "neurodata/recording/validate.py",
        'raise SchemaError(f"recording {recording.metadata.get(\'recording_id\')!a}", problems)',
        'raise SchemaError(f"recording {recording.metadata.get(\'recording_id\')!a}", problems[:1])',
        (f"{_VALIDATE}::test_every_breach_is_listed_at_once_with_its_path",),
    ),
    Mutation(
        "names are not checked", "neurodata/recording/validate.py",
        "safe = isinstance(name, str) and is_safe_part(name)", "safe = True",
        (f"{_VALIDATE}::test_names_that_could_leave_their_folder_are_refused",),
    ),
    Mutation(
        "NaN passes into attributes", "neurodata/recording/attributes.py",
        "if isinstance(value, float) and not math.isfinite(value):", "if False:",
        (f"{_VALIDATE}::test_hostile_attributes_are_refused",),
    ),
    Mutation(
        "edits reach the recording", "neurodata/recording/recording.py",
        "copy.attrs = plain_copy(copy.attrs)", "pass",
        (f"{_RECORDING}::test_an_edit_of_what_was_handed_out_does_not_reach_the_recording",),
    ),
    Mutation(
        "arrays in memory stay writeable", "neurodata/recording/recording.py",
        "variable._data.flags.writeable = False", "pass",
        (f"{_RECORDING}::test_arrays_the_caller_built_by_hand_are_guarded_without_touching_the_caller",),
    ),
    Mutation(
        "windows that touch are let through", "neurodata/windows/leakage.py",
        "gap < reach - _ROUNDING", "gap < 0",
        ("tests/windows/test_splits.py::test_windows_that_touch_or_come_close_are_refused",),
    ),
    Mutation(
        "one animal may be on both sides", "neurodata/windows/leakage.py",
        " + _shared_keys(split, one, other)", "",
        ("tests/windows/test_splits.py::test_same_animal_on_both_sides_of_a_split_made_by_hand_is_refused",),
    ),
    Mutation(
        "a checkpoint may have seen what it is scored on", "neurodata/windows/leakage.py",
        "    if seen:", "    if False:",
        ("tests/windows/test_splits.py::test_check_unseen_knows_animals_not_only_recordings",),
    ),
    Mutation(
        "scaling is fitted on everything", "neurodata/batches/datamodule.py",
        "groupby(self.split.parts[names.TRAIN],", "groupby((s for found in self.split.parts.values() for s in found),",
        ("tests/batches/test_datamodule.py::test_scaling_is_fitted_on_training_values_only",),
    ),
    Mutation(
        "padding counts as recorded", "neurodata/batches/collate.py",
        "recorded[row, :, :n_channels] = sample.recorded", "recorded[row] = True",
        ("tests/batches/test_collate.py",),
    ),
    Mutation(
        "what is hidden is shown", "models/network.py",
        "batch.recorded & ~hidden", "batch.recorded",
        ("tests/models/test_tasks.py::test_a_forecast_does_not_know_the_future",),
    ),
    Mutation(
        "neurons that were not recorded are attended to", "models/layers/attention.py",
        "mask = (attended | ~anyone[:, None])[:, None, None, :]", "mask = torch.ones_like(attended)[:, None, None, :]",
        ("tests/models/test_networks.py::test_padding_changes_nothing",),
    ),
    Mutation(
        "pretraining counts what was shown", "models/tasks/pretrain.py",
        "hidden & batch.recorded", "batch.recorded",
        ("tests/models/test_tasks.py::test_pretraining_counts_hidden_and_recorded_values_only",),
    ),
    Mutation(
        "pretraining counts what was not recorded", "models/tasks/pretrain.py",
        "hidden & batch.recorded", "hidden",
        ("tests/models/test_tasks.py",),
    ),
    Mutation(
        "samples without a label count", "models/losses.py",
        "labelled.sum().clamp(min=1)", "codes.numel()",
        ("tests/models/test_losses.py", "tests/models/test_tasks.py::test_samples_without_a_label_are_ignored"),
    ),
    Mutation(
        "weights that do not match are passed over", "models/checkpoints.py",
        "if strict and", "if False and",
        ("tests/models/test_checkpoints.py::test_a_missing_weight_is_refused_with_the_share_that_matches",),
    ),
    Mutation(
        "missing activity is zero", "neurodata/windows/homogenise.py",
        "activity = np.full((len(signals), len(times), len(channels)), np.nan)",
        "activity = np.zeros((len(signals), len(times), len(channels)))",
        ("tests/windows/test_homogenise.py",),
    ),
    Mutation(
        "pickles may call anything", "loaders/pickles.py",
        "if (module, name) not in FUNCTIONS:", "if False:",
        ("tests/loaders/test_restricted.py",),
    ),
    Mutation(
        "HDF5 may read values from other files", "loaders/hdf5_probe.py",
        "if dataset.external or dataset.is_virtual:", "if False:",
        ("tests/loaders/test_hdf5.py::test_what_lies_in_another_file_is_refused_by_name",),
    ),
    Mutation(
        "HDF5 links to other files are followed", "loaders/hdf5_probe.py",
        "if isinstance(link, h5py.ExternalLink):", "if False:",
        ("tests/loaders/test_hdf5.py::test_what_lies_in_another_file_is_refused_by_name",),
    ),
    Mutation(
        "of two loaders that know a file one is taken", "loaders/discover.py",
        "if len(best) > 1:", "if False:",
        ("tests/loaders/test_discover.py",),
    ),
    Mutation(
        "linked folders are entered", "loaders/discover.py",
        "if not path.is_symlink():", "if True:",
        ("tests/loaders/test_discover.py",),
    ),
    Mutation(
        "gaps between records are closed", "loaders/formats/edf.py",
        'if clock["rate_hz"] and len(starts) > 1:', "if False:",
        ("tests/loaders/formats/test_edf.py::test_gaps_stay_gaps",),
    ),
    Mutation(
        "a lazy array reads all of its file", "neurodata/recording/lazy.py",
        "first, after = int(chosen.min()), int(chosen.max()) + 1", "first, after = 0, self.shape[0]",
        ("tests/recording/test_lazy.py",),
    ),
    Mutation(
        "an event on an edge counts in the earlier bin", "neurodata/recording/bins.py",
        "bins += seconds >= start_seconds", "bins += seconds > start_seconds",
        ("tests/recording/test_bins.py",),
    ),
    Mutation(
        "a view filters with the future", "neurodata/windows/filters.py",
        "    if causal:\n", "    if False:\n",
        ("tests/windows/test_filters.py",),
    ),
    Mutation(
        "held-out trials are learned from", "models/trials.py",
        "trials.choose(~held)", "trials",
        ("tests/models/test_trials.py",),
    ),
    Mutation(
        "baselines may be missing where one recording is scored", "neurodata/report/blocks.py",
        "    check_baselines(predictions)\n", "",
        ("tests/models/test_trials.py::test_a_model_alone_is_not_scored",),
    ),
    Mutation(
        "a model may stand alone", "neurodata/report/scores.py",
        'problems += [f"{where}: {what}" for what in _missing_baselines(part, same_fold)]', "pass",
        ("tests/report/test_scores.py",),
    ),
    Mutation(
        "neurons never met in training are shown", "models/network.py",
        "visible = inputs.visible & self.knows(batch)[:, None]", "visible = inputs.visible",
        ("tests/models/test_met.py::test_neurons_never_met_change_nothing",),
    ),
    Mutation(
        "a rewritten recording is decoded all the same", "neurodata/windows/decoding.py",
        "if digests is None or read_digests(store / recording_id) == digests:", "if True:",
        ("tests/windows/test_decoded.py", "tests/batches/test_datamodule.py"),
    ),
    Mutation(
        "the key of a decoded recording does not hold its views", "neurodata/windows/decoding.py",
        '"vocabulary", "identity", "views")', '"vocabulary", "identity")',
        ("tests/windows/test_decoded.py::test_what_decides_the_values_is_in_the_key",),
    ),
    Mutation(
        "memory of a batch that is still held is handed out again", "neurodata/batches/buffers.py",
        "sys.getrefcount(self._kept[place]) == 2", "True",
        ("tests/batches/test_buffers.py",),
    ),
    Mutation(
        "missing values are called recorded", "neurodata/batches/opened.py",
        "self.complete[number] = activity.complete and", "self.complete[number] = True or",
        ("tests/batches/test_gather.py::test_a_batch_is_what_xarray_slices",),
    ),
    Mutation(
        "a resumed loader begins one batch early", "neurodata/batches/loader.py",
        "start + (number + 1) * size", "start + number * size",
        ("tests/batches/test_loader.py",),
    ),
    Mutation(
        "what a live process uses is evicted", "neurodata/windows/_cache_space.py",
        "used, moved = place.keys_in_use(), []", "used, moved = set(), []",
        ("tests/windows/test_cache_faults.py::test_what_another_live_process_uses_is_never_removed",),
    ),
    Mutation(
        "views that look ahead pass the guard", "neurodata/windows/views.py",
        "if looking and shared:", "if False:",
        ("tests/windows/test_views.py", "tests/batches/test_datamodule.py"),
    ),
    Mutation(
        "graphs under format 1 are read", "neurodata/store/documents.py",
        'root.get("neurodata_format") == names.FIRST_FORMAT and any(', "False and any(",
        ("tests/store/test_graphs_stored.py::test_graphs_under_format_1_are_refused",),
    ),
    Mutation(
        "columns of a connectome are presynaptic", "loaders/_connectome_matrix.py",
        "[columns[pre[i]] for i in kept])]\n    edges", "[columns[pre[i]] for i in kept])].T\n    edges",
        ("tests/loaders/test_connectomes.py::test_a_matrix_has_rows_presynaptic_and_clean_names",),
    ),
    Mutation(
        "rewired graphs lose their degrees", "neurodata/analyses/_nulls.py",
        "post[first], post[second] = post[second], post[first]", "post[first] = post[second]",
        ("tests/analyses/test_structure_function.py::test_rewiring_keeps_every_degree_and_all_weights",),
    ),
    Mutation(
        "a stored graph is believed whatever it holds", "neurodata/recording/connectome.py",
        "if breaches:", "if False:",
        ("tests/recording/test_connectome.py::test_a_stored_graph_made_by_hand_is_not_believed",),
    ),
    Mutation(
        "a consensus calls pairs unconnected that too few could see", "neurodata/recording/consensus.py",
        "n_possible < min_sources", "n_possible == 0",
        ("tests/recording/test_connectome.py::test_a_pair_that_too_few_sources_hold_is_unknown_not_unconnected",),
    ),
    Mutation(
        "missing entries of a tensor are zero", "models/layers/tensor_rows.py",
        "observed = ~values.isnan()", "observed = ~(values.isnan() & False)",
        ("tests/models/test_tensor_factorisation.py",),
    ),
    Mutation(
        "a block of a tensor takes the place of another", "models/layers/cp_sweeps.py",
        "sums.grams = grams if sums.grams is None else sums.grams + grams", "sums.grams = grams",
        ("tests/models/test_tensor_blocks.py::test_blocks_and_the_whole_give_the_same_factors",),
    ),
    Mutation(
        "saying who is in which community costs nothing", "neurodata/analyses/_sbm_cost.py",
        "return float(np.log(n) + self.cost_of_number(n, k) + log_factorial[n] - log_factorial[sizes].sum())", "return 0.0",
        ("tests/analyses/test_communities.py::test_plain_descriptions_of_all_graphs_and_partitions_add_up_to_one",),
    ),
)  # fmt: skip
