# SPDX-License-Identifier: GPL-2.0-only
"""Lines of stack traces and registers, of all architectures: which function do they name?

And which functions say nothing about what went wrong: those that print the report, take locks,
sleep, or do for their caller what a mistake of the caller makes them stumble over.
"""

import re

_NAME = r"(?P<name>[A-Za-z_][\w.$]*)"
_ADDRESS = r"\(?\[<?[0-9a-f]{8,16}>?\]\s*"
# fn+0x1/0x2 as printed, `fn (file.c:1)` and `fn file.c:1` as decoded, `fn from` of arm.
FRAME = re.compile(
    rf"(?P<indent>\s*)(?:</?[A-Z]+\d*>\s+)*(?P<addresses>(?:{_ADDRESS}){{0,2}})"
    rf"(?P<unsure>\? )?(?:\({_NAME[:-1].replace('name', 'arm')})\)|{_NAME})"
    r"(?:\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?|(?P<decoded> \(?[\w./-]+\.[chSrs]+:\d+)|(?P<from> from ))"
)
# The instruction pointer: x86 (RIP:, EIP, IP:), arm (PC is at), arm64 and riscv (pc, epc), powerpc
# (NIP), s390 (PSW), mips (epc), loongarch (ERA).
POINTER = re.compile(
    r"(?:RIP: +(?!0033|002b|0023)[0-9a-f]{4}:|RIP +|IP: |EIP: (?:[0-9a-f]{4}:)?|EIP is at "
    r"|pc : |PC is at |epc *: |NIP:? +|Krnl PSW : [0-9a-f]+ [0-9a-f]+ \(|\s*(?:ERA|era|pc) *: "
    r"|TPC: <|pc +(?=[0-9a-f]{16} ))"
    rf"(?:\[?<?[0-9a-f]{{8,16}}>?\]? *){{0,2}}{_NAME}(?:\+0x| \(| [\w./-]+\.[chS]:\d)"
)
TRACE = re.compile(
    r"\s*backtrace(?: \(crc \w+\))?:|.*stack backtrace:"
    r"|(?:\[?<[^>]*>\]? *)?(?:Call [Tt]race|Backtrace|Stack)\s*:"
)
# What may stand between two frames.
STACK = re.compile(
    r"\s*(?:</?[A-Z#]|\? |\(?\[<?[0-9a-f]{8}|[A-Za-z_][\w.$]*\+0x|Code:|---? interrupt"
    r"|Exception stack|[0-9a-f]{4}: |[0-9a-f]{8} |(?:RIP|RSP|R[A-Z0-9]{2}|ORIG_RAX|CR2|[CDEF]S): *"
    r"|(?:NIP|LR|REGS|MSR|CFAR|GPR\d\d|[xr]\d+|PC|LR|sp|pc|lr|ra|ep?c|gp|t\d|s\d+|a\d)\b ?[:=\[]"
    r"|\S.* \(?[\w./-]+\.[ch]:\d+)"
)


def named(text: str) -> str:
    """The function of a frame that is sure to be one of the stack, "" for any other line."""
    frame = FRAME.match(text)
    if frame is None or frame["unsure"]:
        return ""
    if frame["decoded"] and not frame["indent"]:
        return ""
    if frame["from"] and not frame["addresses"] and not frame["indent"]:
        return ""
    return plain(frame["name"] or frame["arm"])


def plain(name: str) -> str:
    """A function without the compiler's suffixes, which change from build to build."""
    return re.sub(
        r"\.(constprop|isra|part|cold|llvm|lto_priv|__uniq|cfi|cfi_jt|localalias)\b.*", "", name
    )


# Frames of the report itself, never of what it is about.
REPORTING = re.compile(
    r"(__dump_stack|dump_stack|dump_backtrace|dump_trace|dump_cpu_|unwind_backtrace|show_stack"
    r"|show_regs|show_trace|show_backtrace|sched_show_task|walk_stackframe|save_stack_trace"
    r"|stack_trace_save|arch_stack_walk|print_report|print_address_desc|print_memory_metadata"
    r"|_{0,4}kasan_|__?asan_|__hwasan_|hwasan_|check_memory_region|end_report|start_report"
    r"|kmsan_|__msan_|kcsan_|__kcsan_|__tsan_|kfence_|__kfence_|check_canary|__warn|warn_slowpath"
    r"|report_bug|handle_bug|bug_handler|exc_|asm_exc_|asm_sysvec_|sysvec_|__sysvec_|die$|__die"
    r"|die_|oops_|page_fault_oops|kernelmode_fixup|no_context|(__)?(do_)?bad_area"
    r"|do_user_addr_fault"
    r"|(__)?do_(page|kernel|translation)_fault|do_mem_abort|do_DataAbort|do_PrefetchAbort|do_sea$"
    r"|do_(error_)?trap|do_invalid_op|do_general_protection|do_divide_error|do_undef|do_tag_"
    r"|fixup_bug|do_debug_exception|do_el1_|do_bp|do_ade$|do_double_fault|fault_from"
    r"|(async_)?page_fault$"
    r"|general_protection$|invalid_op$|divide_error$|double_fault$|error_(code|entry|exit)$|int3$"
    r"|el[01]t?h?_|el1_\w+|brk_handler|call_break_hook|early_brk|handle_(exception|page_fault|bp)"
    r"|ret_from_(exception|intr)|program_check_|data_access_|__do_pgm_check|pgm_check|do_dat_ex"
    r"|do_protection_ex|panic$|vpanic|nmi_panic|arm64_serror|do_serror|panic_bad_stack"
    r"|handle_bad_stack|__bad_stack|check_panic_on_warn|ubsan_|__ubsan_|val_to_string"
    r"|handle_overflow|debug_print_object|(__)?debug_object|__debug_check|debug_check_no_obj"
    r"|bad_page$|bad_page_fault|free_page_is_bad|free_pages_check|check_(new|free)_page|print_bad_p"
    r"|bad_range|spin_(bug|dump)|rwlock_bug|usercopy_(abort|warn)|(__)?check_(object_size|heap_obj)"
    r"|__check_object_size|report_usercopy|(__)?fortify_|__schedule_bug|_{0,3}might_|__cant_\w+$"
    r"|lockdep_rcu_suspicious|lockdep_sys_exit|sysrq_handle|__handle_sysrq|dump_header|warn_alloc"
    r"|check_preemption_disabled|__this_cpu_preempt_check|debug_smp_processor_id|slab_(err|bug|pad)|object_err|print_trailer"
    r"|check_bytes_and_report|check_(object|slab)$|free_debug_|alloc_debug_|free_consistency"
    r"|report_cfi"
    r"|__slowpath_check|__cfi_|kmemleak_|__stack_chk_fail|vunmap_|__list_(add|del)\w*_valid\w*"
    r"|refcount_warn|ret_from_fork|secondary_start|start_kernel$|x86_64_start|__?switch_to_asm)"
)
LOCKING = re.compile(
    r"(print_\w*(bug|bad|lock|usage|deadlock|irq|suspicious|cycle)\w*|check_(noncircular|prev|irq"
    r"|dead"
    r"|usage|path)|validate_chain|_{0,2}lock_(acquire|release|is_held)|__lock_|mark_(lock|held"
    r"|usage)"
    r"|valid_state|register_lock_class|assign_lock_key|debug_check_no_locks|lockdep"
    r"|rcu_lock_acquire"
    r"|_?_?_?_?_?_?_?_?(raw_)+(spin|read|write)|do_raw_(spin|read|write)|(__)?(read|write"
    r"|spin)_(un)?lock"
    r"|__(pv|native)_|(native_|__pv_)?queued_(spin|read|write)|pv_wait|kvm_wait|(__)?(mutex"
    r"|ww_mutex"
    r"|rt_mutex|__rt_mutex)_|(__)?rt_mutex|rtlock|rt_spin_|rt_(read|write)|(__)?(down|up)_(read"
    r"|write"
    r"|inter|kill|time|try)|(__)?(down|up)$|_{0,3}down_|rwsem_|(__)?percpu_(down|up|rwsem)|__percpu"
    r"|(__)?schedule|preempt_schedule|io_schedule|context_switch|__switch_to|(__)?cond_resched"
    r"|dynamic_cond|do_wait_for|_{0,2}wait_|(do_)?wait(_for)?_|bit_wait|out_of_line_wait|folio_wait"
    r"|(__)?(lock_(page|folio)|folio_lock)|prepare_to_wait|finish_wait|rcu_note|__?synchronize_"
    r"|synchronize_|(__)?rcu_barrier|_?rcu_barrier|kthread_stop$|lock_sock|cancel_\w*work\w*"
    r"|__cancel_work|do_nanosleep|usleep_|msleep)"
)
# What a timer interrupt runs before it finds that a CPU is stuck.
TIMER = re.compile(
    r"(watchdog_|is_softlockup|hrtimer_|__hrtimer_|__run_hrtimer|tick_|update_process_times|nmi_"
    r"|rcu_(sched_clock|check_call|dump|check_gp|pending|sched_qs|gp_)|kthread$|ret_from_fork|print_(cpu|other)_(cpu_)?stall"
    r"|trigger"
    r"|check_cpu_stall|(smp_)?(reschedule|apic_timer|call_function\w*)_interrupt|(do_)?IRQ|do_irq"
    r"|local_apic_timer|arch_timer_|timer_(handler|interrupt)|riscv_timer|handle_(percpu|domain"
    r"|irq|arch)"
    r"|generic_handle|gic_|irq_(enter|exit)|__irq_exit|call_on_(irq_)?stack|do_interrupt_handler"
    r"|asm_call_|common_interrupt|ret_from_intr|perf_event_|intel_pmu|x86_pmu|default_do_nmi|do_nmi"
    r"|end_repeat_nmi|__perf|sched_tick|scheduler_tick|csd_lock_wait|arch_irq_work|lapic_)"
)
# Faults in here are their callers': they got a bad pointer.
LIBRARY = re.compile(
    r"(_{0,4}(mem(cpy|set|move|cmp|chr|scan)|str(n|l|r|s)?(cpy|cat|len|cmp|chr|str|sep|scpy|pbrk"
    r"|spn|case"
    r"cmp|ncasecmp|nlen|nstr|ncmp|ncpy|lcpy|lcat))\w*$|_{0,4}(raw_)?copy_(to|from|in|user)_?\w*"
    r"|_{0,2}clear_user"
    r"|rep_(movs|stos)\w*|_{0,3}(get|put)_user|(arch_|raw_)*atomic(64|_long)?_\w+|arch_\w*bit"
    r"|instrument_|_{0,2}refcount_|kref_|_{0,2}(list|hlist|hlist_nulls)_(add|del|move|splice"
    r"|replace|empty"
    r"|unhashed)\w*|_{0,3}(test|set|clear|change)(_and_(set|clear|change))?_bit|kfree\w*|kvfree"
    r"|_{0,3}kfree"
    r"|_{0,2}kmem_cache_free\w*|(do_)?slab_free\w*|_{2,3}cache_free|__slab_free"
    r"|_{0,2}lock_(acquire|release)"
    r"|_?_?(raw_)*(spin|read|write)_(un)?(lock|trylock)|_raw_(spin|read|write)|do_raw_"
    r"|(native_)?queued_"
    r"|_{0,2}(mutex|rt_mutex|ww_mutex)_(un|try)?lock|_{0,2}(down|up)_(read|write|inter|kill|try)"
    r"|_{0,2}(down"
    r"|up)$|__mutex_|rwsem_|register_lock_class|_find_(first|next)|__read_once|__write_once)"
)
# Asked for memory, or got a page back, by who is to blame.
ALLOCATING = re.compile(
    r"(_{0,3}k[mzv]?v?[mz]alloc\w*|_{0,3}kmem_cache_(alloc|zalloc)\w*|_{0,2}vm?alloc\w*"
    r"|slab_(pre_)?alloc"
    r"|_{0,3}slab_\w*alloc|_{0,2}alloc_(pages?|frozen|skb)|fs_reclaim|_{0,2}do_kmalloc|kmemdup"
    r"|memdup|krealloc"
    r"|free_(pages?_prepare|pcp_prepare|tail_page|hot_cold|unref|frozen|contig|pages?$|one_page)"
    r"|_{0,2}free_(pages|one_page|frozen|page)|get_page_from_freelist|prep_new_page|rmqueue"
    r"|_{0,2}folio_put"
    r"|_{0,2}put_page|release_pages|folios_put|expand$|_{0,2}kmem_cache_(create|destroy|shutdown)|vm_normal_(page|folio))"
)

_NUMBER = re.compile(r"(?<!addition on )(?<!decrement hit )(?<![\w.=])\d+(?![\w.])")


def normalise(title: str) -> str:
    """A title without what differs between two runs: addresses, pids, CPUs, counts."""
    title = re.sub(r"\+0x[0-9a-f]+/0x[0-9a-f]+", "", title)
    title = re.sub(r"(?<!exitcode=)\b0x[0-9a-fA-F]+|\b(?=\w*\d)[0-9a-f]{8,}\b", "ADDR", title)
    title = re.sub(r"\b(CPU|cpu) ?#?\d+", "CPU", title)
    title = _NUMBER.sub("N", title)
    return " ".join(title.split()).rstrip(" .")
