# Decides whether the CUDA backend is built (TTSRT_CUDA) and for which architectures. AUTO builds it where nvcc and a GPU are found,
# for that GPU; ON builds it for the listed architectures and needs no GPU; OFF does not build it. The runtime is linked statically,
# so the library needs nothing but the driver, and that only where a GPU is used.

set(TTSRT_CUDA AUTO CACHE STRING "Build the CUDA backend: AUTO, ON or OFF")
set_property(CACHE TTSRT_CUDA PROPERTY STRINGS AUTO ON OFF)
set(ttsrt_cuda_modes AUTO ON OFF)
if(NOT TTSRT_CUDA IN_LIST ttsrt_cuda_modes)
    message(FATAL_ERROR "TTSRT_CUDA: expected AUTO, ON or OFF, got ${TTSRT_CUDA}")
endif()

# ttsrt_gpu_architectures(result): those of the GPUs that the driver shows, or nothing.
function(ttsrt_gpu_architectures result)
    set(${result} "" PARENT_SCOPE)
    find_program(TTSRT_NVIDIA_SMI nvidia-smi)
    if(NOT TTSRT_NVIDIA_SMI)
        return()
    endif()
    execute_process(
        COMMAND "${TTSRT_NVIDIA_SMI}" --query-gpu=compute_cap --format=csv,noheader
        OUTPUT_VARIABLE capabilities
        RESULT_VARIABLE failure
        ERROR_QUIET
        OUTPUT_STRIP_TRAILING_WHITESPACE
    )
    if(failure OR NOT capabilities MATCHES "^[0-9]+\\.[0-9]+")
        return()
    endif()
    string(REPLACE "." "" capabilities "${capabilities}")
    string(REPLACE "\n" ";" capabilities "${capabilities}")
    list(REMOVE_DUPLICATES capabilities)
    list(FILTER capabilities EXCLUDE REGEX "^[1-7][0-9]$") # the kernels need the tensor cores of 8.0
    set(${result} "${capabilities}" PARENT_SCOPE)
endfunction()

set(ttsrt_has_cuda OFF)
set(ttsrt_cuda_reason "TTSRT_CUDA is OFF")
if(NOT TTSRT_CUDA STREQUAL "OFF")
    include(CheckLanguage)
    check_language(CUDA)
    ttsrt_gpu_architectures(ttsrt_gpus)
    if(TTSRT_CUDA STREQUAL "ON" AND NOT CMAKE_CUDA_COMPILER)
        message(
            FATAL_ERROR
            "TTSRT_CUDA is ON, but nvcc is missing: install the CUDA toolkit or set CMAKE_CUDA_COMPILER"
        )
    endif()
    if(CMAKE_CUDA_COMPILER AND (TTSRT_CUDA STREQUAL "ON" OR ttsrt_gpus))
        # Names of sets become lists, because some kernels are built for one architecture of a list.
        set(ttsrt_asked "${CMAKE_CUDA_ARCHITECTURES}")
        if(ttsrt_asked STREQUAL "native" AND NOT ttsrt_gpus)
            message(
                FATAL_ERROR
                "CMAKE_CUDA_ARCHITECTURES is native: expected a GPU of 8.0 or newer, nvidia-smi shows none"
            )
        endif()
        if(ttsrt_asked STREQUAL "native" OR (NOT ttsrt_asked AND TTSRT_CUDA STREQUAL "AUTO"))
            set(CMAKE_CUDA_ARCHITECTURES "${ttsrt_gpus}")
        elseif(NOT ttsrt_asked OR ttsrt_asked MATCHES "^all(-major)?$")
            execute_process(
                COMMAND "${CMAKE_CUDA_COMPILER}" --list-gpu-code
                OUTPUT_VARIABLE known
                OUTPUT_STRIP_TRAILING_WHITESPACE
            )
            set(CMAKE_CUDA_ARCHITECTURES "")
            foreach(
                architecture
                80
                86
                89
                90
                100
                120
            )
                if(known MATCHES "sm_${architecture}(\n|$)")
                    list(APPEND CMAKE_CUDA_ARCHITECTURES "${architecture}")
                endif()
            endforeach()
        endif()
        enable_language(CUDA)
        find_package(CUDAToolkit REQUIRED)
        set(ttsrt_has_cuda ON)
    elseif(NOT CMAKE_CUDA_COMPILER)
        set(ttsrt_cuda_reason "there is no nvcc")
    else()
        set(ttsrt_cuda_reason
            "there is no GPU of 8.0 or newer here; TTSRT_CUDA=ON builds it all the same"
        )
    endif()
endif()
